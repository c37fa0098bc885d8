"""JupyterLab's side finds the servers, and one that runs on Node.js answers the protocol's first request."""

import json
import pathlib
import subprocess

from jupyter_lsp import LanguageServerManager
from traitlets.config import Config

SETTINGS = pathlib.Path("/etc/jupyter/jupyter_server_config.d/language-servers.json")

manager = LanguageServerManager(config=Config(json.loads(SETTINGS.read_text())))
manager.initialize()
wanted = {"bash-language-server", "pylsp", "yaml-language-server"}
print(", ".join(sorted(wanted & set(manager.language_servers))))

parameters = {"processId": None, "rootUri": None, "capabilities": {}}
body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": parameters})
command = manager.language_servers["bash-language-server"]["argv"]
with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
    assert server.stdin
    assert server.stdout
    server.stdin.write(f"Content-Length: {len(body)}\r\n\r\n{body}")
    server.stdin.flush()
    size = 0
    while header := server.stdout.readline().strip():
        name, _, value = header.partition(":")
        size = int(value) if name.lower() == "content-length" else size
    answer = json.loads(server.stdout.read(size))
    server.kill()
assert "capabilities" in answer["result"], answer
