// What works without script, a little faster: requests, dialogs, toasts, polls. Hooks are data attributes.
export const dialog = document.getElementById("dialog");
const toasts = document.getElementById("toasts"); // behind an open dialog nobody could read or press them: they move into it
const told = new Set(); // what polls have said on this page: once is enough
let asked = null; // the last request for the dialog
let opener = null;
export const left = { from: null }; // what the dialog was opened from: the list behind is fetched anew, so it is another element, or gone

const isPoll = (triggeringEvent, element) => triggeringEvent === undefined || element.hasAttribute("data-poll");
const isRepeated = ({ requestConfig: { triggeringEvent, elt } }, text) =>
  isPoll(triggeringEvent, elt) && (told.has(text) || !told.add(text));
export const shownFor = (link) => document.querySelector(`[popovertarget="${link.closest("[popover]")?.id}"]`) ?? link; // its menu closes
const lookBehind = () => document.body.dispatchEvent(new Event("dialog-closed"));
const fade = (toast) => setTimeout(() => toast.remove(), 6000, (toast.dataset.seen = "1"));

document.addEventListener("htmx:configRequest", (event) => {
  event.detail.headers["X-CSRFToken"] = document.querySelector('meta[name="csrf-token"]')?.content ?? "";
  if (isPoll(event.detail.triggeringEvent, event.target)) event.detail.headers["X-Rollcall-Poll"] = "1";
});

document.addEventListener("htmx:beforeRequest", (event) => {
  const {
    target,
    xhr,
    requestConfig: { verb, triggeringEvent },
  } = event.detail;
  // What a clock posts is work, and goes on in a hidden tab.
  if (document.hidden && verb === "get" && isPoll(triggeringEvent, event.target)) event.preventDefault();
  if (target === dialog) {
    asked = xhr;
    if (!dialog.open) opener = shownFor(document.activeElement);
  }
  // An answer whose place is gone by now, as the live line's when the dialog shows the preview already, is let go.
  event.detail.elt.addEventListener(
    "htmx:beforeOnLoad",
    (answer) => {
      if (!answer.detail.target.isConnected) answer.preventDefault();
    },
    { once: true },
  );
});

document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const { target, xhr } = detail;
  document.body.append(toasts);
  // An error that the server has put into words: shown in its place, however it was answered.
  if (target === toasts)
    Object.assign(detail, { shouldSwap: !isRepeated(detail, detail.serverResponse), isError: false });
  // A dialog that was closed meanwhile comes back for a refusal only, one that was asked for something else shows that; lists may have changed.
  if (target === dialog && xhr.status === 422) asked ??= xhr;
  if (target === dialog && asked !== xhr) {
    lookBehind();
    detail.swapOverride = "none";
  }
});

document.addEventListener("htmx:afterSettle", ({ detail: { target, xhr } }) => {
  if (target === dialog && xhr === asked) {
    if (dialog.innerHTML.trim() && !dialog.open) dialog.showModal();
    const heading = dialog.querySelector("h1, h2");
    const first = dialog.querySelector("[data-focus]") ?? heading;
    first?.setAttribute("tabindex", "-1");
    first?.focus();
    if (heading?.id) dialog.setAttribute("aria-labelledby", heading.id);
  }
  if (dialog.open) dialog.append(toasts);
  document.querySelectorAll("[data-toast]:not([data-seen])").forEach(fade);
});

document.addEventListener("htmx:sendError", ({ detail }) =>
  say("The portal does not answer. What you entered is still here; try again.", detail),
);
document.addEventListener("htmx:responseError", ({ detail }) => {
  if (detail.xhr.status !== 401)
    say(`This did not work (${detail.xhr.status}). Try again, or reload the page.`, detail);
});

document.body.addEventListener("close-dialog", close);
document.addEventListener("click", (event) => {
  if (dialog?.open && event.target.closest("#dialog [data-close-dialog]")) close(event);
  event.target.closest("[data-dismiss]")?.parentElement.remove();
});
dialog?.addEventListener("close", () => {
  document.body.append(toasts);
  dialog.replaceChildren();
  asked = null;
  opener?.focus();
  left.from = nameOf(opener);
  lookBehind();
});

function close(event) {
  event.preventDefault();
  document.body.append(toasts);
  dialog?.replaceChildren(); // before the swap that follows could find something to show again
  dialog?.close();
}
export function nameOf(element) {
  // how to find what takes its place
  if (element?.id) return `#${element.id}`;
  return element?.form
    ? `[action="${element.form.getAttribute("action")}"] button`
    : `[href="${element?.getAttribute("href")}"]`;
}
function say(text, detail) {
  // our own words only; what is said again and again stands there once
  if (isRepeated(detail, text) || toasts?.lastElementChild?.firstElementChild?.textContent === text) return;
  if (dialog?.open) dialog.append(toasts); // no swap follows that would
  toasts?.insertAdjacentHTML(
    "beforeend",
    `<div class="rc-toast rc-toast-bad" role="alert"><div>${text}</div><button class="btn btn-action" type="button" data-dismiss aria-label="Close this message">✕</button></div>`,
  );
}
// Copied where the browser allows it, as on HTTPS; selected otherwise, for Ctrl+C.
document.addEventListener("click", async ({ target }) => {
  const button = target.closest("[data-copy]");
  const source = button && document.querySelector(button.dataset.copy);
  if (!source) return;
  getSelection().selectAllChildren(source);
  await navigator.clipboard?.writeText(source.textContent.trim()).then(
    () => {
      button.lastChild.textContent = "Copied";
    },
    () => {},
  );
});
document.querySelectorAll("[data-toast]").forEach(fade);
document.querySelector("[data-focus]")?.focus();
