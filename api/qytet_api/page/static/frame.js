// What stands around every page's content: its words, and the buttons that choose their language.

import { mark, say } from "./dom.js";
import * as texts from "./texts.js";

const RETRY_MS = 2000;

export function frame() {
  for (const element of document.querySelectorAll("[data-text]")) say(element, texts.text(element.dataset.text));
  for (const button of document.querySelectorAll("[data-language]")) {
    mark(button, "aria-pressed", button.dataset.language === texts.current() ? "true" : "false");
  }
  mark(document.getElementById("language"), "aria-label", texts.text("page.language"));
}

// Returns once there are texts, however long the server is away; `render` is called then, and at each other language.
export async function speak(render) {
  while (!(await chosen(texts.current()))) await new Promise((done) => setTimeout(done, RETRY_MS));
  render();
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", async () => {
      if (await chosen(button.dataset.language)) render();
    });
  }
}

// False if the server is away: the page keeps the language that it has.
async function chosen(language) {
  try {
    await texts.use(language);
    return true;
  } catch {
    return false;
  }
}
