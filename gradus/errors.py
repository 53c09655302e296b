"""How the command ends: 0 done, 1 the work failed, 2 used wrongly, 3 the service cannot be reached."""

from __future__ import annotations

from experiments.errors import GradusError

DONE, FAILED, USAGE, UNREACHABLE = 0, 1, 2, 3


class CommandError(GradusError):
    """Ends the command with a message and an exit status."""

    def __init__(self, message: str, status: int = FAILED) -> None:
        super().__init__(message)
        self.status = status


class Refused(CommandError):
    """The service answered with a problem. `problem` is its RFC 9457 document."""

    def __init__(self, code: int, problem: dict[str, object]) -> None:
        super().__init__(explain(code, problem), exit_status(code))
        self.code, self.problem = code, problem


def exit_status(code: int) -> int:
    """The exit status for an HTTP status: what the asker can put right is 2, what the service failed at is 1."""
    if code == 503:
        return UNREACHABLE
    return FAILED if code >= 500 or code == 409 else USAGE


def explain(code: int, problem: dict[str, object]) -> str:
    """A problem document as lines for a person: one per finding."""
    lines = [str(problem.get("detail") or problem.get("title") or f"the service answered with status {code}")]
    items = problem.get("errors")
    for item in items if isinstance(items, list) else []:
        allowed = item.get("allowed")
        text = ", ".join(allowed) if isinstance(allowed, list) else allowed
        where = f"{item['path']}: " if item.get("path") else ""
        line = f"  {where}{item['message']}" + (f" (allowed: {text})" if text else "")
        if item["message"] != lines[0] or text:
            lines.append(line)
    return "\n".join(lines if len(lines) != 2 or lines[0] not in lines[1] else lines[1:]).strip()
