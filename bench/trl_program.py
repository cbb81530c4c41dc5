"""TRL's environment, and scripts of this folder that run in it."""

import hashlib
import json
import sys
from pathlib import Path

from program import NUM_CORES, ROOT, call

TRL_VENV = ROOT / "build/trl-venv"


def set_up_trl() -> None:
    requirements = ROOT / "bench/requirements-trl.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    stamp = TRL_VENV / ".stamp"
    if stamp.is_file() and stamp.read_text() == digest:
        return
    print("installing TRL into build/trl-venv", flush=True)
    call([sys.executable, "-m", "venv", "--clear", TRL_VENV])
    call([TRL_VENV / "bin/python", "-m", "pip", "install", "--quiet", "--requirement", requirements])
    stamp.write_text(digest)


def run_trl(script: str, work: Path, num_processes: int, options: dict[str, object]) -> dict:
    """What the script makes of model and pairs in `work`; all cores are in use. An option of None is a flag."""
    python = [TRL_VENV / "bin/python"]
    if num_processes > 1:
        python += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", num_processes]
    output = work / "trl.json"
    output.unlink(missing_ok=True)
    options = {"model": work / "model", "preferences": work / "pairs.h5", "output": output, **options}
    words = [word for name, value in options.items() for word in (f"--{name}", value) if word is not None]
    call([*python, ROOT / "bench" / script, *words], NUM_CORES // num_processes, HF_HUB_OFFLINE="1",
         HF_HOME=str(work / "hugging-face"))  # fmt: skip
    return json.loads(output.read_text())
