"""Floor 9: names that only torch needs, and the alias under which a script written for torch finds monograph. See README.md."""
