// Starts the flashing page: what it can do here, what the server offers, and one run at a time.

import { make, mark, say } from "/static/dom.js";
import { frame, speak } from "/static/frame.js";
import * as texts from "/static/texts.js";
import { checkOwn, listing, program } from "./files.js";
import { Form } from "./form.js";
import { LogView } from "./logview.js";
import { explained } from "./problem.js";
import { missing } from "./support.js";
import { Show } from "./show.js";
import { STEPS, Work } from "./work.js";

const NEEDS = { full: ["settings", "image"], image: ["image", "filesystem"], files: ["settings"], log: [] };
const element = (id) => document.getElementById(id);

const form = new Form();
const log = new LogView(element("log"), (name) => texts.text(`flash_hint.${name}`));
const show = new Show(log);
let offered = { program: null, images: {}, problems: [] };
let work = null;

function render() {
  document.title = `Qytet · ${texts.text("flash.title")}`;
  frame();
  const lacks = missing();
  mark(element("unable"), "hidden", lacks ? null : "");
  mark(element("form"), "hidden", lacks ? "" : null);
  if (lacks) {
    say(element("unable-what"), texts.text(`flash.${lacks}_what`));
    say(element("unable-do"), texts.text(`flash.${lacks}_do`));
  }
  offers();
  form.render();
  show.render();
}

function offers() {
  const images = Object.entries(offered.images).map(([chip, one]) =>
    texts.text("flash.image", { chip, size: texts.number(one.size / 1024, 0), sha256: one.sha256.slice(0, 12) }));
  say(element("images"), images.join(" · ") || texts.text("flash.no_images"));
  say(element("version"), offered.program ? texts.text("flash.version", { version: offered.program.version }) : "");
  const problems = offered.problems.map((one) => texts.text(`flash_folder.${one.code}`, { name: one.name }));
  const said = missing() ? "" : problems.join(" ");
  say(element("notice"), said);
  mark(element("notice"), "hidden", said ? null : "");
}

async function ask() {
  try {
    offered = await listing();
    form.offers(offered.images, offered.program ? await program(offered.program) : null);
  } catch (error) {
    form.offers({}, null);
    show.failed(explained(error));
  }
  offers();
}

// Everything that can be checked before a port is opened is.
async function gathered(mode) {
  const wanted = { images: offered.images, program: offered.program, erase: form.erase, forget: form.forget };
  for (const part of NEEDS[mode]) wanted[part === "image" ? "own" : part] = form[part]();
  if (wanted.settings) wanted.chip = form.chip();
  await checkOwn(wanted);
  return wanted;
}

async function begin(event) {
  event.preventDefault();
  if (work) return;
  const mode = form.mode;
  show.begin(STEPS[mode]);
  work = new Work(show);
  try {
    const wanted = await gathered(mode);
    await work.choose();
    busy(true);
    await work.run(mode, wanted);
  } catch (error) {
    const problem = explained(error);
    if (problem.code === "stopped") show.stopped();
    else show.failed(problem);
  } finally {
    work = null;
    busy(false);
  }
}

function busy(now) {
  form.lock(now);
  mark(element("go"), "hidden", now ? "" : null);
  mark(element("stop"), "hidden", now ? null : "");
  element("restart").disabled = true; // until the log runs
  if (!now) mark(element("again"), "hidden", "");
}

function save() {
  const url = URL.createObjectURL(new Blob([log.text()], { type: "text/plain" }));
  const link = make("a", { href: url, download: `qytet-${new Date().toISOString().replace(/[:.]/g, "-")}.log` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

function listen() {
  element("form").addEventListener("submit", begin);
  element("stop").addEventListener("click", () => work?.stop());
  element("restart").addEventListener("click", () => work?.restart().catch((error) => work?.end(error)));
  element("clear").addEventListener("click", () => log.clear());
  element("save").addEventListener("click", save);
  window.addEventListener("beforeunload", (event) => {
    if (work && show.working) event.preventDefault();
  });
}

async function start() {
  await speak(render);
  if (missing()) return;
  form.start((error) => show.failed(explained(error)));
  listen();
  await ask();
}

start();
