"""A portal of two pages under ``portal.gunicorn_conf``, with a scheduler that only writes down what it is told.

    python -m tests.tooling.gunicorn_trial PORT [WORKERS]

Started by test_gunicorn_conf.py. What happens goes to standard output, a line each.
"""

import os
import sys
import time
from types import ModuleType

from flask import Flask
from gunicorn.app.base import BaseApplication


def tell(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


fake = ModuleType("portal.scheduler")
fake.start = lambda app: tell("start", app.name)
fake.stop = lambda wait=0.0: tell("stop", wait)
sys.modules["portal.scheduler"] = fake

from portal import gunicorn_conf  # noqa: E402  the fake comes first

app = Flask("trial")


@app.get("/slow")
def slow() -> str:
    tell("asked")
    time.sleep(1)
    tell("answered")
    return "done"


class Trial(BaseApplication):
    def load_config(self) -> None:
        for name, value in vars(gunicorn_conf).items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)
        self.cfg.set("bind", [f"127.0.0.1:{sys.argv[1]}"])
        if sys.argv[2:]:
            self.cfg.set("workers", int(sys.argv[2]))

    def load(self) -> Flask:
        return app


if __name__ == "__main__":
    Trial().run()
