// What a run shows: its steps with shape, word and colour, how far and how fast, what went wrong, and the log.

import { make, mark, say } from "/static/dom.js";
import { has, number, text } from "/static/texts.js";
import { whyNotChosen } from "./problem.js";
import { Progress } from "./progress.js";

const SHAPES = { todo: "○", doing: "◐", done: "✓", skipped: "–", failed: "✕" };
const element = (id) => document.getElementById(id);

export class Show {
  constructor(log) {
    this.view = log;
    this.steps = [];
    this.states = {};
    this.problem = null;
    this.working = false;
    this.board = null;
    // Handed on as functions of their own.
    this.say = (line) => this.view.line(line, "tool");
    this.log = (bytes) => this.view.bytes(bytes);
    this.progress = (done, total) => this.moved(done, total);
  }

  begin(steps) {
    this.steps = steps;
    this.states = Object.fromEntries(steps.map((step) => [step, "todo"]));
    this.problem = this.board = this.last = null;
    this.working = false;
    this.render();
  }

  // The step that begins; null: all are done. Whatever came before it and was not begun, was not needed.
  step(name) {
    this.working = name !== null;
    element("restart").disabled = this.working;
    const until = name === null ? this.steps.length : this.steps.indexOf(name);
    for (const [i, step] of this.steps.entries()) {
      if (i < until) this.states[step] = { doing: "done", todo: "skipped" }[this.states[step]] ?? this.states[step];
    }
    if (name) this.states[name] = "doing";
    this.meter = new Progress();
    this.last = null;
    this.render();
    say(element("spoken"), text(name ? `flash_step.${name}` : "flash.finished"));
  }

  moved(done, total) {
    this.last = { done, total, ...this.meter.at(done, total) };
    this.renderRate();
  }

  found(board) {
    this.board = board;
    this.render();
  }

  failed(problem) {
    this.working = false;
    this.fail("failed");
    this.problem = problem;
    this.render();
    if (!problem.marks) element("problem").focus(); // else the first field that is wrong has it
  }

  stopped() {
    this.working = false;
    this.fail("skipped");
    this.view.line(text("flash.stopped"), "tool");
    this.render();
  }

  fail(state) {
    for (const step of this.steps) if (this.states[step] === "doing") this.states[step] = state;
  }

  // A board that came back as another port must be chosen anew, by a click.
  again() {
    const button = element("again");
    mark(button, "hidden", null);
    button.focus();
    return new Promise((done, refuse) => {
      button.onclick = () => navigator.serial.requestPort().then(done, (error) => refuse(whyNotChosen(error)));
    });
  }

  render() {
    const begun = Object.values(this.states).some((state) => state !== "todo");
    for (const id of ["work", "log-section"]) mark(element(id), "hidden", begun ? null : "");
    element("steps").replaceChildren(...this.steps.map((step) => this.item(step)));
    say(element("board"), this.board ? text("flash.board", { ...this.board, size: this.board.flashSize >> 20 }) : "");
    this.renderRate();
    this.renderProblem();
  }

  item(step) {
    const state = this.states[step];
    return make("li", { "data-state": state, "data-step": step },
      make("span", { "aria-hidden": "true", text: `${SHAPES[state]} ` }),
      make("span", { text: text(`flash_step.${step}`) }),
      make("span", { class: "spoken", text: ` ${text(`flash_state.${state}`)}` }));
  }

  renderRate() {
    const last = this.last;
    const finished = this.steps.length > 0 && this.steps.every((step) => ["done", "skipped"].includes(this.states[step]));
    if (last) element("bar").value = last.share;
    else if (finished || !this.working) element("bar").value = finished ? 1 : 0;
    else element("bar").removeAttribute("value"); // it lasts as long as it lasts
    say(element("rate"), last ? this.rate(last) : finished ? text("flash.finished") : "");
  }

  rate({ done, total, rate, left }) {
    const values = { done: number(done / 1024, 0), total: number(total / 1024, 0) };
    if (rate === null) return text("flash.moved", values);
    return text("flash.rate", { ...values, rate: number(rate / 1024, 1), left: number(Math.ceil(left), 0) });
  }

  renderProblem() {
    mark(element("problem"), "hidden", this.problem ? null : "");
    if (!this.problem) return;
    const { code, values } = this.problem;
    const known = has(`flash_error.${code}_what`) ? code : "unexpected";
    for (const part of ["what", "why", "do"]) {
      say(element(`problem-${part}`), text(`flash_error.${known}_${part}`, { detail: this.problem.message, ...values }));
    }
  }
}
