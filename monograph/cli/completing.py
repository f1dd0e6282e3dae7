"""`completion`: scripts that complete commands, options, choices and configuration fields in bash, zsh and fish.

They are written from the parser itself, so that they cannot say anything else than `--help`.
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from monograph.cli import examples, learning
from monograph.cli.config import FIELDS, Config
from monograph.cli.exits import OK
from monograph.cli.text import command
from monograph.core.knobs import KNOBS
from monograph.train.trainer import Trainer

SHELLS = ("bash", "zsh", "fish")
WORDS = {"config": list(examples.CONFIGS), "name": sorted(KNOBS)}  # positional arguments that have names of their own


def add_commands(commands: Any) -> None:
    """Adds `completion`; what it completes is read from `commands` when it runs."""
    made = command(commands, "completion", completion, "a script that completes commands in a shell", "", [
        "eval \"$(monograph completion bash)\"           # in ~/.bashrc",
        "monograph completion zsh > ~/.zfunc/_monograph   # a folder of $fpath",
        "monograph completion fish > ~/.config/fish/completions/monograph.fish",
    ])  # fmt: skip
    made.add_argument("shell", choices=SHELLS, help="the shell")
    made.set_defaults(commands=commands)


@dataclass
class Known:
    """What can follow a command: options with their help and choices, words, files."""

    help: str
    options: dict[str, tuple[str, list[str]]]
    words: list[str]
    files: bool


def completion(options: argparse.Namespace) -> int:
    """Prints the script."""
    known = known_commands(options.commands)
    print({"bash": bash, "zsh": zsh, "fish": fish}[options.shell](known))
    return OK


def known_commands(commands: Any) -> dict[str, Known]:
    """Every command with what may follow it."""
    briefs = {action.dest: action.help or "" for action in commands._choices_actions}
    found = {}
    for name, parser in commands.choices.items():
        options: dict[str, tuple[str, list[str]]] = {}
        words: list[str] = []
        files = False
        for action in parser._actions:
            choices = [str(c) for c in action.choices or ()]
            for flag in action.option_strings:
                if flag.startswith("--"):
                    options[flag] = (action.help or "", choices)
            if not action.option_strings:
                words += choices or WORDS.get(action.dest, [])
                files |= action.dest in ("config", "file", "folder", "script", "arguments")
        if name in learning.WITH_CONFIG:
            options |= {flag: ("a field of the configuration", []) for flag in config_fields()}
        found[name] = Known(briefs[name], options, words, files)
    return found


def config_fields() -> Iterable[str]:
    """--trainer.max_epochs= and the like."""
    hints = typing.get_type_hints(Config)
    for name in FIELDS:
        if dataclasses.is_dataclass(hints[name]):
            yield from (f"--{name}.{f.name}=" for f in dataclasses.fields(hints[name]))
        elif name == "trainer":
            yield from (f"--trainer.{p}=" for p in list(inspect.signature(Trainer).parameters))
        elif name not in ("callbacks", "output"):
            yield f"--{name}="


def _choices(known: dict[str, Known]) -> Iterable[tuple[str, str, list[str]]]:
    return ((name, flag, choices) for name, k in known.items() for flag, (_, choices) in k.options.items() if choices)


# ---- the three ----
def bash(known: dict[str, Known]) -> str:
    """For bash 4 and newer."""
    lines = [f"        {name}) words='{' '.join([*k.options, *k.words])}'; files={int(k.files)} ;;" for name, k in known.items()]
    reply = "COMPREPLY=($(compgen -W '{}' -- \"$word\")); return"
    values = [f"        '{name} {flag}') {reply.format(' '.join(choices))} ;;" for name, flag, choices in _choices(known)]
    return "\n".join([
        "# bash completion of monograph",
        "_monograph() {",
        "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words='' files=1",
        "    COMPREPLY=()",
        "    if ((COMP_CWORD == 1)); then",
        f"        {reply.format(' '.join(known))}",
        "    fi",
        "    case \"${COMP_WORDS[1]} $before\" in", *values, "    esac",
        "    case ${COMP_WORDS[1]} in", *lines, "    esac",
        "    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))",
        "    if ((files)) || [[ $before == --* ]]; then COMPREPLY+=($(compgen -f -- \"$word\")); fi",
        "    if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]]; then compopt -o nospace; fi",
        "}",
        "complete -o filenames -F _monograph monograph",
    ])  # fmt: skip


def _quoted(text: str) -> str:
    return text.replace("'", "'\\''")


def zsh(known: dict[str, Known]) -> str:
    """For zsh: a file `_monograph` in a folder of $fpath, or `source` it after compinit."""
    heads = [f"        '{name}:{_quoted(k.help)}'" for name, k in known.items()]
    cases = []
    for name, k in known.items():
        specs = []
        for flag, (text, choices) in k.options.items():
            text = _quoted(text).replace("[", "(").replace("]", ")").replace(":", " -")
            value = f":value:({' '.join(choices)})" if choices else ":value:" if flag.endswith("=") else ""
            specs.append(f"'{flag}[{text}]{value}'" if not flag.endswith("=") else f"'{flag}-[{text}]{value}'".replace("=-[", "=["))
        rest = f"'*:argument:{{compadd -- {' '.join(k.words)}; {'_files' if k.files else 'true'}}}'"
        if not k.words:
            rest = "'*:file:_files'" if k.files else ""
        cases.append(f"        {name}) _arguments -S {' '.join(specs)} {rest} ;;")
    return "\n".join([
        "#compdef monograph",
        "_monograph() {",
        "    local -a commands=(", *heads, "    )",
        "    if ((CURRENT == 2)); then _describe command commands; return; fi",
        "    local which=${words[2]}",
        "    words=(monograph ${words[3,-1]}); ((CURRENT--))",
        "    case $which in", *cases, "    esac",
        "}",
        "if [[ ${funcstack[1]} == _monograph ]]; then _monograph \"$@\"; else compdef _monograph monograph; fi",
    ])  # fmt: skip


def fish(known: dict[str, Known]) -> str:
    """For fish: a file monograph.fish in its folder of completions."""
    lines = ["# fish completion of monograph", "complete -c monograph -e", "complete -c monograph -n __fish_use_subcommand -f"]
    lines += [f"complete -c monograph -n __fish_use_subcommand -a {name} -d '{_fish(k.help)}'" for name, k in known.items()]
    for name, k in known.items():
        when = f"complete -c monograph -n '__fish_seen_subcommand_from {name}'"
        for flag, (text, choices) in k.options.items():
            if flag.endswith("="):
                lines.append(f"{when} -a '{flag}' -d '{_fish(text)}'")
            else:
                takes = f" -x -a '{' '.join(choices)}'" if choices else ""
                lines.append(f"{when} -l {flag[2:]}{takes} -d '{_fish(text)}'")
        if k.words:
            lines.append(f"{when} -a '{' '.join(k.words)}'")
        if not k.files:
            lines.append(f"{when} -f")
    return "\n".join(lines)


def _fish(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
