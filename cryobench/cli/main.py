"""The command line: a run or a sweep given by Hydra overrides, or a verb. Exit status 0 done, 1 some failed, 2 usage."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path

from cryobench import __version__
from cryobench.config.identity import searching
from cryobench.errors import InputError, RunFailed, Stopped, shown_notes
from cryobench.signals import same_command, stopping

COMPLETING = "_CRYOBENCH_COMPLETE"  # where a shell that asks for completions says so, as typer has it

HELP = """cryobench: where cryo-EM denoisers are compared.

Runs and sweeps (any key of the config can be given as key=value):
  python -m cryobench                                        one (α,β)-GAN on a made-up molecule, up to a minute
  python -m cryobench method=autoencoder noise.snr=0.05      another method, another noise level
  python -m cryobench method=gan method.alpha=1 method.beta=-1 data=rnap_ecoli scale=desk seed=1
  python -m cryobench +sweep=alpha_beta scale=smoke          Table 1: eight (α,β) pairs at two noise levels
  python -m cryobench method=noisy,oracle seed=0,1           a sweep of your own

Groups:
{groups}

Verbs (--help after one names its options and its default folder; compare, rerun and bench do runs of their own):
{verbs}

  python -m cryobench --cfg              print the config that a command line makes
  python -m cryobench VERB --help        options of a verb (or: help VERB)
  python -m cryobench --version          which cryobench this is
  cryobench --install-completion         let the shell complete verbs and their options (for the command cryobench)
  --config-dir DIR                       a folder with yamls of your own (method/mine.yaml, …)

What a run leaves: RESULTS/runs/RUN_ID/record.json; RESULTS is results/DATA-SCALE unless paths.results=DIR.
Exit status: 0 all done; 1 some run failed, or a rerun's numbers differ; 2 a mistake on the command line or in a config;
143 stopped by SIGTERM."""


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says and return the exit status."""
    arguments = [at_home(word) for word in (sys.argv[1:] if arguments is None else arguments) if word]
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())  # a denoiser of the user's own lies where they stand
    open_what_is_closed()
    print_what_can_be_printed()
    try:
        words, folders = config_folders(arguments)
        with shown_notes(), stopping(), searching(folders):
            status = do(words, folders)
            sys.stdout.flush()
            return status
    except Stopped as stop:
        print(f"cryobench: stopped by SIGTERM; nothing is left half-written; {same_command(stop)}", file=sys.stderr)
        return 143
    except InputError as error:
        print(f"cryobench: {error}", file=sys.stderr)
        return 2
    except RunFailed as error:
        print(f"cryobench: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as error:
        where = f" for {error.filename}" if error.filename else ""
        print(f"cryobench: expected the system to allow it, got '{error.strerror or error}'{where}", file=sys.stderr)
        leave_standard_output()
        return 2
    except KeyboardInterrupt as stop:
        print(f"cryobench: interrupted; {same_command(stop)}", file=sys.stderr)
        return 130


def do(words: list[str], folders: list[Path]) -> int:
    """A verb, help, one run or a sweep."""
    if words[:1] == ["help"]:
        words = [*words[1:2], "--help"]
    if COMPLETING in os.environ or (words and is_verb(words[0])):
        from cryobench.cli.app import run_verb

        return run_verb(words)
    if any(word in ("-h", "--help") for word in words):
        print(help_text())
        return 0
    if "--version" in words:
        print(f"cryobench {__version__}")
        return 0
    overrides, multirun, show_config = split_flags(words)
    if folders:
        from cryobench.config.compose import search_path

        overrides.append(search_path(folders))  # the processes of a sweep know of its overrides alone
    return launch(overrides, multirun, show_config)


def is_verb(word: str) -> bool:
    """Whether a first word is for typer: a verb, or one of its options for shells; all others are overrides and options."""
    return ("=" not in word and word[0] not in "+-~") or word in ("--install-completion", "--show-completion")


def at_home(word: str) -> str:
    """key=~/folder with the home folder's name, which a shell leaves to us, and Hydra's grammar knows no ~."""
    key, equals, value = word.partition("=")
    return f"{key}={os.path.expanduser(value)}" if equals and (value == "~" or value.startswith("~/")) else word


def open_what_is_closed() -> None:
    """Standard output or error that the shell closed (>&-) lead nowhere; the next file that is opened would get their numbers."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))


def print_what_can_be_printed() -> None:
    """Where the terminal, the pipe or the log has no α, it gets \\u03b1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not one that somebody put in the place of ours
            with contextlib.suppress(ValueError):
                stream.reconfigure(errors="backslashreplace")


def leave_standard_output() -> None:
    """What is still to be written can't be: Python would try once more at its end, and say so in its own words."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def launch(overrides: list[str], multirun: bool, show_config: bool) -> int:
    """One run or a sweep."""
    from cryobench.config.sweep import plan

    planned = plan(overrides, multirun)
    if show_config:
        import yaml

        print(yaml.safe_dump(planned.jobs[0].config, sort_keys=False, allow_unicode=True), end="")
        return 0
    if planned.is_sweep:
        from cryobench.launch.sweep import run_sweep

        return run_sweep(planned, overrides)
    from cryobench.launch.alone import run_alone

    return run_alone(planned.jobs[0])


def config_folders(arguments: list[str]) -> tuple[list[str], list[Path]]:
    """The words without --config-dir DIR, and these folders. Raises InputError for one that isn't there."""
    words, folders = [], []
    rest = iter(arguments)
    for word in rest:
        name, _, value = word.partition("=")
        if name not in ("--config-dir", "-cd"):
            words.append(word)
            continue
        folders.append(Path(value or next(rest, "")))
        if not folders[-1].is_dir() or folders[-1] == Path():
            raise InputError(f"--config-dir: expected a folder, got {value or folders[-1]}")
    return words, folders


def split_flags(arguments: list[str]) -> tuple[list[str], bool, bool]:
    """Overrides, whether -m is given, whether --cfg is."""
    overrides, multirun, show_config = [], False, False
    for word in arguments:
        if word in ("-m", "--multirun"):
            multirun = True
        elif word.partition("=")[0] == "--cfg":
            show_config = True
        elif word.startswith("-"):
            raise InputError(
                f"unknown option {word}: expected --help, --version, --cfg, --config-dir DIR, -m, or overrides key=value"
            )
        else:
            overrides.append(word)
    return overrides, multirun, show_config


def help_text() -> str:
    """What --help prints: how to begin, the choices of each group, the verbs."""
    from importlib import resources

    from cryobench.cli.app import verb_lines

    groups = []
    for group in ("data", "scale", "noise", "protocol", "method", "trainer", "task", "sweep"):
        folder = resources.files("cryobench.conf") / group
        names = sorted(p.name[:-5] for p in folder.iterdir() if p.name.endswith(".yaml") and p.name[0] != "_")
        groups.append(f"  {'+' if group == 'sweep' else ''}{group}=".ljust(13) + " | ".join(names))
    return HELP.format(groups="\n".join(groups), verbs=verb_lines())


if __name__ == "__main__":
    sys.exit(main())
