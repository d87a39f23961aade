// What works without script, a little faster: dialogs, toasts, selections, polls. Hooks are data attributes.
const dialog = document.getElementById("dialog");
const shownFor = (link) => document.querySelector(`[popovertarget="${link.closest("[popover]")?.id}"]`) ?? link; // its menu closes
const toasts = document.getElementById("toasts"); // behind an open dialog nobody could read or press them: they move into it
let opener = null, leftFrom = null, typed = null; // typed: a search that goes on while the answer to its beginning comes in

document.addEventListener("htmx:configRequest", (event) => {
  event.detail.headers["X-CSRFToken"] = document.querySelector('meta[name="csrf-token"]')?.content ?? "";
  if (isPoll(event.detail.triggeringEvent, event.target)) event.detail.headers["X-Rollcall-Poll"] = "1";
});

// An error that the server has put into words: shown in its place, however it was answered.
document.addEventListener("htmx:beforeSwap", (event) => {
  typed = document.activeElement?.matches("#quick-search") ? document.activeElement.value : null;
  document.body.append(toasts);
  if (event.detail.target === toasts) Object.assign(event.detail, { shouldSwap: true, isError: false });
  // A box checked since the search among its values was asked for would be lost with the list: the search goes again.
  const { elt, formData } = event.detail.requestConfig;
  const checked = (form) => String(form.getAll(elt.name.replace(/_q$/, "")));
  if (!elt.matches(".rc-find input") || checked(new FormData(elt.form)) === checked(formData)) return;
  event.detail.shouldSwap = false;
  setTimeout(() => htmx.trigger(elt, "search"));
});

document.addEventListener("htmx:beforeRequest", (event) => {
  if (document.hidden && isPoll(event.detail.requestConfig.triggeringEvent, event.target)) event.preventDefault();
  if (event.detail.target === dialog && !dialog.open) opener = shownFor(document.activeElement);
  // An answer whose place is gone by now, as the live line's when the dialog shows the preview already, is let go.
  event.detail.elt.addEventListener("htmx:beforeOnLoad", (answer) => { if (!answer.detail.target.isConnected) answer.preventDefault(); }, { once: true });
});

document.addEventListener("htmx:afterSwap", (event) => {
  const search = document.getElementById("quick-search");
  if (typed !== null && search && search.value !== typed) {
    search.value = typed;
    search.dispatchEvent(new Event("input", { bubbles: true }));
  }
  if (event.detail.target === dialog) {
    if (dialog.innerHTML.trim() && !dialog.open) dialog.showModal();
    const heading = dialog.querySelector("h1, h2"), first = dialog.querySelector("[data-focus]") ?? heading;
    first?.setAttribute("tabindex", "-1");
    first?.focus();
    if (heading?.id) dialog.setAttribute("aria-labelledby", heading.id);
  }
  if (dialog.open) dialog.append(toasts);
  document.querySelectorAll("[data-toast]:not([data-seen])").forEach(fade);
});

// The list behind a dialog is fetched anew when it closes: what it was opened from is another element then, or gone.
document.addEventListener("htmx:afterSettle", (event) => {
  if (!leftFrom || event.detail.target === dialog || document.activeElement !== document.body) return;
  shownFor(document.querySelector(leftFrom) ?? document.getElementById("content")).focus({ preventScroll: true });
  leftFrom = null;
});

document.addEventListener("htmx:sendError", () => say("The portal does not answer. What you entered is still here; try again."));
document.addEventListener("htmx:responseError", (event) => {
  if (event.detail.xhr.status !== 401) say(`This did not work (${event.detail.xhr.status}). Try again, or reload the page.`);
});

document.body.addEventListener("close-dialog", close);
document.addEventListener("click", (event) => {
  if (dialog?.open && event.target.closest("#dialog [data-close-dialog]")) {
    event.preventDefault();
    close();
  }
  event.target.closest("[data-dismiss]")?.parentElement.remove();
});
dialog?.addEventListener("close", () => {
  document.body.append(toasts);
  dialog.replaceChildren();
  opener?.focus();
  leftFrom = opener?.id ? `#${opener.id}` : `[href="${opener?.getAttribute("href")}"]`;
  document.body.dispatchEvent(new Event("dialog-closed"));
});

// A menu that the focus leaves closes. Enter in the search of a section looks for values; the form's first button would leave for the preview.
document.addEventListener("focusin", ({ target }) => { const menu = document.querySelector(":popover-open"); if (menu && !menu.contains(target) && target.popoverTargetElement !== menu) menu.hidePopover(); });
document.addEventListener("keydown", (event) => { if (event.key === "Enter" && event.target.matches(".rc-find input")) event.preventDefault(); });

document.addEventListener("change", (event) => {
  // Choosing a value means: not All any more. Without script, unchecking All is a click of its own.
  const everything = event.target.closest("fieldset")?.querySelector(".rc-all input");
  if (everything && event.target !== everything && event.target.matches(".rc-options input:checked")) everything.checked = false;
  const { form, checked, name } = event.target;
  const all = event.target.closest("[data-select-all], [data-select-filtered]");
  if (all) form?.querySelectorAll('input[type="checkbox"][name="id"]').forEach((box) => { box.checked = checked; });
  // Whoever takes one person out means neither the whole page nor everybody that is filtered any more.
  if (!checked && (all || name === "id")) form?.querySelectorAll("[data-select-all], [data-select-filtered]").forEach((box) => { box.checked = false; });
  count(form);
});

// "Clear selection": the bar goes, so focus returns to where a selection begins.
document.addEventListener("reset", ({ target }) => setTimeout(() => { count(target); target.querySelector("[data-select-all]")?.focus(); }));

const isPoll = (triggeringEvent, element) => triggeringEvent === undefined || element.hasAttribute("data-poll");
function count(form) {
  const shown = form?.querySelector("[data-selected]");
  if (!shown) return;
  const everybody = form.querySelector("[data-select-filtered]:checked")?.dataset.selectFiltered;
  const others = form.querySelector("[data-stands-for]:checked")?.dataset.standsFor ?? 0;
  shown.textContent = `${everybody ?? form.querySelectorAll('input[name="id"]:checked, input[type="hidden"][name="id"]').length + Number(others)} selected`;
}
function close() {
  document.body.append(toasts);
  dialog?.replaceChildren(); // before the swap that follows could find something to show again
  dialog?.close();
}
function fade(toast) {
  toast.dataset.seen = "1";
  setTimeout(() => toast.remove(), 6000);
}
function say(text) { // our own words only; what a poll says again and again stands there once
  if (toasts?.lastElementChild?.firstElementChild?.textContent === text) return;
  toasts?.insertAdjacentHTML("beforeend", `<div class="rc-toast rc-toast-bad" role="alert"><div>${text}</div><button class="btn btn-action" type="button" data-dismiss aria-label="Close this message">✕</button></div>`);
}
document.querySelectorAll("[data-toast]").forEach(fade);
document.querySelector("[data-focus]")?.focus();
