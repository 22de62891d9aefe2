// The form: which parts a way of working needs, what was typed or loaded, and where it is wrong. Nothing of it is kept.

import { make, mark, say } from "/static/dom.js";
import { text } from "/static/texts.js";
import { sha256 } from "./bytes.js";
import { Problem } from "./problem.js";
import { build, FIELDS, fromFile } from "./settings.js";

const FILES = ["image", "filesystem", "ca", "cert", "key"];
const HASH = /^[0-9a-f]{64}$/;
const element = (id) => document.getElementById(id);
const field = (id) => element(`f-${id}`);

export class Form {
  constructor() {
    this.files = {};
    this.extra = {};
    this.program = null;
    this.wrong = [];
    this.device = ""; // as it was typed last
  }

  // `onFailure(problem)` hears of a settings file that cannot be read.
  start(onFailure) {
    for (const input of document.querySelectorAll('[name="mode"], [name="source"]')) {
      input.addEventListener("change", () => this.arrange());
    }
    for (const id of FILES) field(id).addEventListener("change", () => this.took(id));
    field("settings").addEventListener("change", () => this.load().catch(onFailure));
    field("tls").addEventListener("change", () => {
      if (["8883", "1883"].includes(field("port").value)) field("port").value = field("tls").checked ? "8883" : "1883";
    });
    field("device").addEventListener("change", () => {
      const { value } = field("device");
      if (["", this.device].includes(field("user").value)) field("user").value = value; // else it is a name of its own
      this.device = value;
    });
    element("reveal").addEventListener("change", () => {
      for (const id of ["password", "wifi_password"]) field(id).type = element("reveal").checked ? "text" : "password";
    });
    this.arrange();
  }

  get mode() {
    return document.querySelector('[name="mode"]:checked').value;
  }

  get ownImage() {
    return element("source-own").checked;
  }

  arrange() {
    for (const part of document.querySelectorAll("[data-modes]")) {
      mark(part, "hidden", part.dataset.modes.split(" ").includes(this.mode) ? null : "");
    }
    mark(document.querySelector("[data-source]"), "hidden", this.ownImage ? null : "");
  }

  // The server's files: what can be chosen.
  offers(images, program) {
    this.program = program;
    const any = Object.keys(images).length > 0;
    element("source-server").disabled = !any;
    element(any ? "source-server" : "source-own").checked = true;
    for (const [id, folder] of [["profile", "profiles"], ["board", "boards"]]) {
      const names = [...(program?.slot.keys() ?? [])].filter((path) => path.startsWith(`${folder}/`) && path.endsWith(".json"));
      const options = names.map((path) => path.slice(folder.length + 1, -5));
      field(id).replaceChildren(...options.map((name) => make("option", { value: name, text: name })));
    }
    this.arrange();
  }

  async took(id) {
    const file = field(id).files[0];
    this.files[id] = file ? new Uint8Array(await file.arrayBuffer()) : null;
    if (id === "image") say(element("image-hash"), file ? `SHA-256 ${await sha256(this.files.image)}` : "");
  }

  async load() {
    const file = field("settings").files[0];
    if (!file) return;
    const values = fromFile(await file.text());
    for (const { id } of FIELDS) if (id in values) field(id).value = values[id];
    if ("tls" in values) field("tls").checked = values.tls;
    if ("update_key" in values) field("update_key").value = values.update_key;
    for (const id of ["ca", "cert", "key"]) if (values[id]) this.files[id] = values[id];
    this.extra = values.extra;
    this.render();
  }

  // { node, etc } of a form without mistakes. Raises Problem, after marking each wrong field.
  settings() {
    if (!this.program) throw new Problem("no_program_file");
    const values = { tls: field("tls").checked, update_key: field("update_key").value, extra: this.extra };
    for (const { id } of FIELDS) values[id] = field(id).value;
    for (const id of ["ca", "cert", "key"]) values[id] = this.files[id] ?? null;
    const { node, etc, wrong } = build(values);
    this.refuse(wrong, "settings");
    return { node, etc };
  }

  image() {
    if (!this.ownImage) return null;
    const wanted = field("image_hash").value.trim().toLowerCase();
    const wrong = [];
    if (!this.files.image) wrong.push(["image", "needed"]);
    if (wanted && !HASH.test(wanted)) wrong.push(["image_hash", "no_hash"]);
    this.refuse(wrong, "files");
    return { data: this.files.image, sha256: wanted };
  }

  filesystem() {
    this.refuse(this.files.filesystem ? [] : [["filesystem", "needed"]], "files");
    return this.files.filesystem;
  }

  // The chip that the chosen board has, as its description in the program says.
  chip() {
    const description = this.program.slot.get(`boards/${field("board").value}.json`);
    return description ? (JSON.parse(new TextDecoder().decode(description)).chip ?? null) : null;
  }

  get erase() {
    return field("erase").checked;
  }

  get forget() {
    return field("forget").checked;
  }

  refuse(wrong, code) {
    this.wrong = wrong;
    this.render();
    if (!wrong.length) return;
    const first = field(wrong[0][0]);
    first.closest("details")?.setAttribute("open", "");
    first.focus();
    throw Object.assign(new Problem(code, { count: wrong.length }), { marks: true });
  }

  lock(locked) {
    for (const part of document.querySelectorAll("#form fieldset")) part.disabled = locked;
  }

  render() {
    const wrong = new Map(this.wrong);
    for (const line of document.querySelectorAll(".wrong")) {
      const id = line.id.slice(2);
      say(line, wrong.has(id) ? text(`flash_wrong.${wrong.get(id)}`) : "");
      mark(field(id), "aria-invalid", wrong.has(id) ? "true" : null);
    }
    const names = Object.keys(this.extra);
    say(element("extra"), names.length ? text("flash.extra", { names: names.join(", ") }) : "");
  }
}
