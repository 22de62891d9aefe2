// Puts the node's program and settings onto a board that runs MicroPython, file by file over its raw prompt.
//
// The board runs nothing until everything is there: boot.py, main.py and slot.json go first when they are old, and come
// last when they are new. Each file is written beside its place, and takes it only if its SHA-256 on the board is right;
// what the board has already is left alone, so that a second try goes on where the first one stopped. /data, the
// readings that the city does not have yet, stays unless it belongs to another device.

import { sha256, toBase64, utf8 } from "./bytes.js";
import { Problem } from "./problem.js";

const PIECE = 1536; // bytes of a file at a time: as base64 2 KB, which an ESP32's heap has in one piece
const PASTE = 3000; // characters after which what has gathered is sent
const SURVEY_MS = 60000;
const LAST = ["/boot.py", "/main.py", "/slot.json"];
const SLOT = { run: "a", trial: null, left: 0 };
const OURS = ["/a", "/b", "/etc"];
// Of /etc: what a former set-up left. Others there are orders of the city, such as a lamp's schedule, and stay.
const IDENTITY = ["node.json", "node.trial.json", "ca.der", "cert.der", "key.der", "update.key"].map((name) => `/etc/${name}`);
const HALF = /\.(part|new)$/;
const PRELUDE = `
import os, sys, json, hashlib, binascii
def _sha(path):
 h = hashlib.sha256(); b = bytearray(512); m = memoryview(b)
 with open(path, "rb") as f:
  while True:
   n = f.readinto(b)
   if not n: break
   h.update(m[:n])
 return binascii.hexlify(h.digest()).decode()
def _walk(path):
 try: found = list(os.ilistdir(path))
 except OSError: return
 for one in found:
  name = path.rstrip("/") + "/" + one[0]
  if one[1] == 0x4000: yield from _walk(name)
  else: yield name
def _folders(path):
 at = path.find("/", 1)
 while at > 0:
  try: os.mkdir(path[:at])
  except OSError: pass
  at = path.find("/", at + 1)
def _drop(path):
 try: os.remove(path)
 except OSError: pass
def _new(path):
 global _file
 _folders(path)
 _file = open(path + ".new", "wb")
def _put(text): _file.write(binascii.a2b_base64(text))
def _end(path, sha):
 _file.close()
 if _sha(path + ".new") == sha: os.rename(path + ".new", path)
 else: print(path)
`;
const SURVEY = `
for _p in ${JSON.stringify([...OURS, "/data"])}:
 for _n in _walk(_p): print(json.dumps([_n, _sha(_n) if _p != "/data" else ""]))
for _n in ${JSON.stringify(LAST)}:
 try: print(json.dumps([_n, _sha(_n)]))
 except OSError: pass
`;
const WHO = `
try:
 with open("/etc/node.json") as _f: _d = json.load(_f)
 print(json.dumps([_d.get("city"), _d.get("device")]))
except (OSError, ValueError, AttributeError): print("null")
`;
export function boardFiles(program, etc) {
  const files = new Map();
  for (const [path, content] of program.slot) files.set(`/a/${path}`, content);
  for (const [path, content] of etc) files.set(path, content);
  for (const [path, content] of program.root) files.set(`/${path}`, content);
  if (!files.has("/slot.json")) files.set("/slot.json", utf8(JSON.stringify(SLOT)));
  return files;
}

export class Provisioner {
  // `progress(done, total)` in bytes; `identity` is [city, device] of the settings.
  // `restart()` resets the board, and comes back when its line is there again.
  constructor(repl, files, identity, { forget, progress, restart }) {
    this.repl = repl;
    this.files = files;
    this.identity = identity;
    this.forgetReadings = forget;
    this.progress = progress;
    this.restart = restart;
  }

  async run() {
    const hashes = new Map();
    for (const [path, content] of this.files) hashes.set(path, await sha256(content));
    await this.repl.run(PRELUDE);
    const there = await this.survey();
    await this.readings(there);
    const wanted = [...this.files.keys()].filter((path) => there.get(path) !== hashes.get(path));
    if (wanted.length) await this.hold(there);
    await this.drop([...there.keys()].filter((path) => this.isStale(path)));
    const first = wanted.filter((path) => !LAST.includes(path));
    const last = wanted.length ? LAST.filter((path) => this.files.has(path)) : [];
    await this.write([...first, ...last], hashes, first.length);
    await this.check(hashes, await this.survey());
    return wanted.length;
  }

  // From here on the board runs nothing by itself; a restart ends the watchdog of what ran before.
  async hold(there) {
    await this.drop(LAST.filter((path) => there.has(path)));
    if (!there.has("/main.py")) return;
    await this.restart();
    await this.repl.enter();
    await this.repl.run(PRELUDE);
  }

  async survey() {
    const lines = (await this.repl.run(SURVEY, SURVEY_MS)).split("\n").filter((line) => line.startsWith("["));
    return new Map(lines.map((line) => JSON.parse(line)));
  }

  // Readings of another device would be sent under this one's name.
  async readings(there) {
    const kept = [...there.keys()].filter((path) => path.startsWith("/data/"));
    const who = JSON.parse(await this.repl.run(WHO));
    const other = who && (who[0] !== this.identity[0] || who[1] !== this.identity[1]);
    this.newOwner = Boolean(other);
    if (this.forgetReadings) await this.drop(kept);
    else if (other && kept.length) throw new Problem("other_device", { device: `${who[0]}/${who[1]}` });
  }

  isStale(path) {
    if (this.files.has(path) || !OURS.some((folder) => path.startsWith(`${folder}/`))) return false;
    return this.newOwner || !path.startsWith("/etc/") || IDENTITY.includes(path) || HALF.test(path);
  }

  async drop(paths) {
    for (const path of paths) await this.repl.run(`_drop(${quoted(path)})`);
  }

  // The first `before` of them must be right on the flash before the others are written.
  async write(paths, hashes, before) {
    const total = paths.reduce((sum, path) => sum + this.files.get(path).length, 0);
    let done = 0;
    let code = "";
    const send = async () => {
      const differs = (await this.repl.run(code)).trim();
      if (differs) throw new Problem("file_differs", { name: differs.split("\n")[0] });
      code = "";
      this.progress(done, total);
    };
    for (const [number, path] of paths.entries()) {
      if (number === before) {
        await send();
        await this.check(hashes, await this.survey(), LAST);
      }
      for (const [line, count] of this.lines(path, hashes.get(path))) {
        code += `${line}\n`;
        done += count;
        if (code.length > PASTE) await send();
      }
    }
    await send();
  }

  // Code that writes a file, with the bytes that each line brings.
  *lines(path, hash) {
    const content = this.files.get(path);
    yield [`_new(${quoted(path)})`, 0];
    for (let at = 0; at < content.length; at += PIECE) {
      const piece = content.subarray(at, at + PIECE);
      yield [`_put(b"${toBase64(piece)}")`, piece.length];
    }
    yield [`_end(${quoted(path)}, "${hash}")`, 0];
  }

  async check(hashes, there, except = []) {
    for (const [path, hash] of hashes) {
      if (!except.includes(path) && there.get(path) !== hash) throw new Problem("file_differs", { name: path });
    }
  }
}

function quoted(text) {
  return JSON.stringify(text); // a Python literal too, for the names that we use
}
