"""torch.testing and gradient checks for users: `assert_close`, `gradcheck`, `gradgradcheck`, `check_grads`. See README.md."""

from monograph.testing.comparison import assert_close, default_tolerances
from monograph.testing.gradients import GradcheckError, check_grads, gradcheck, gradgradcheck

__all__ = ["GradcheckError", "assert_close", "check_grads", "default_tolerances", "gradcheck", "gradgradcheck"]
