// What works without script, a little faster: dialogs, toasts, selections, polls. Hooks are data attributes.
const dialog = document.getElementById("dialog");
const shownFor = (link) => document.querySelector(`[popovertarget="${link.closest("[popover]")?.id}"]`) ?? link; // its menu closes
const toasts = document.getElementById("toasts"); // behind an open dialog nobody could read or press them: they move into it
const told = new Set(); // what polls have said on this page: once is enough
let asked = null, opener = null, leftFrom = null; // the last request for the dialog; the list behind a dialog is fetched anew: what it was opened from is another element then, or gone
let kept = {}; // what somebody is at while a list is replaced: what is typed and chosen, an open menu, the focus

document.addEventListener("htmx:configRequest", (event) => {
  event.detail.headers["X-CSRFToken"] = document.querySelector('meta[name="csrf-token"]')?.content ?? "";
  if (isPoll(event.detail.triggeringEvent, event.target)) event.detail.headers["X-Rollcall-Poll"] = "1";
});

// An error that the server has put into words: shown in its place, however it was answered.
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const { target, xhr, requestConfig: { elt, formData, triggeringEvent } } = detail;
  document.body.append(toasts);
  if (target === toasts) Object.assign(detail, { shouldSwap: !isRepeated(detail, detail.serverResponse), isError: false });
  // A dialog that was closed meanwhile comes back for a refusal only, one that was asked for something else shows that; lists may have changed.
  if (target === dialog && xhr.status === 422) asked ??= xhr;
  if (target === dialog && asked !== xhr && lookBehind()) detail.swapOverride = "none";
  const fields = [...target.querySelectorAll("form.rc-bar :is([type=search], select)")].filter((field) => field.value !== (field.defaultValue ?? field.querySelector("[selected]")?.value ?? ""));
  kept = { fields, menu: target.querySelector(":popover-open")?.id, ...(target.contains(document.activeElement) && { place: nameOf(document.activeElement) }) };
  if (triggeringEvent === undefined && !getSelection().isCollapsed && target.contains(getSelection().anchorNode)) detail.shouldSwap = false;
  // A box checked since the search among its values was asked for would be lost with the list: the search goes again.
  const checked = (form) => String(form.getAll(elt.name.replace(/_q$/, "")));
  if (!elt.matches(".rc-find input") || checked(new FormData(elt.form)) === checked(formData)) return;
  detail.shouldSwap = void setTimeout(() => htmx.trigger(elt, "search"));
});

document.addEventListener("htmx:beforeRequest", (event) => {
  const { target, xhr, requestConfig: { verb, triggeringEvent } } = event.detail; // what a clock posts is work, and goes on in a hidden tab
  if (document.hidden && verb === "get" && isPoll(triggeringEvent, event.target)) event.preventDefault();
  if (target === dialog) [asked, opener] = [xhr, dialog.open ? opener : shownFor(document.activeElement)];
  // An answer whose place is gone by now, as the live line's when the dialog shows the preview already, is let go.
  event.detail.elt.addEventListener("htmx:beforeOnLoad", (answer) => { if (!answer.detail.target.isConnected) answer.preventDefault(); }, { once: true });
});

document.addEventListener("htmx:afterSettle", (event) => { // by now what was swapped in listens
  const { fields = [], menu, place = leftFrom } = kept;
  kept = {};
  fields.forEach(({ name, value }) => {
    const field = document.querySelector(`form.rc-bar [name="${name}"]`); // a search goes on with what was typed meanwhile
    if (field && field.value !== value) Object.assign(field, { value }).dispatchEvent(new Event("input", { bubbles: true }));
  });
  const button = menu && document.querySelector(`[popovertarget="${menu}"]`);
  button?.focus();
  button?.click();
  if (place && event.detail.target !== dialog && (button || document.activeElement === document.body)) {
    const found = document.querySelector(place) ?? document.getElementById("content");
    (button ? found : shownFor(found)).focus({ preventScroll: true });
    leftFrom = null;
  }
  if (event.detail.target === dialog && event.detail.xhr === asked) {
    if (dialog.innerHTML.trim() && !dialog.open) dialog.showModal();
    const heading = dialog.querySelector("h1, h2"), first = dialog.querySelector("[data-focus]") ?? heading;
    first?.setAttribute("tabindex", "-1");
    first?.focus();
    if (heading?.id) dialog.setAttribute("aria-labelledby", heading.id);
  }
  if (dialog.open) dialog.append(toasts);
  document.querySelectorAll("[data-toast]:not([data-seen])").forEach(fade);
});
document.addEventListener("htmx:sendError", ({ detail }) => say("The portal does not answer. What you entered is still here; try again.", detail));
document.addEventListener("htmx:responseError", ({ detail }) => detail.xhr.status !== 401 && say(`This did not work (${detail.xhr.status}). Try again, or reload the page.`, detail));

document.body.addEventListener("close-dialog", close);
document.addEventListener("click", (event) => {
  if (dialog?.open && event.target.closest("#dialog [data-close-dialog]")) close(event);
  event.target.closest("[data-dismiss]")?.parentElement.remove();
});
dialog?.addEventListener("close", () => {
  document.body.append(toasts);
  dialog.replaceChildren();
  [asked, leftFrom] = [null, nameOf(opener)];
  opener?.focus();
  lookBehind();
});

// A menu that the focus leaves closes. Enter in the search of a section looks for values; the form's first button would leave for the preview.
document.addEventListener("focusin", ({ target }) => { const menu = document.querySelector(":popover-open"); if (menu && !menu.contains(target) && target.popoverTargetElement !== menu) menu.hidePopover(); });
document.addEventListener("keydown", (event) => { if (event.key === "Enter" && event.target.matches(".rc-find input")) event.preventDefault(); });
document.addEventListener("change", ({ target, target: { form, checked, name } }) => {
  // Choosing a value means: not All any more. Without script, unchecking All is a click of its own.
  const everything = target.closest("fieldset")?.querySelector(".rc-all input");
  if (everything && target !== everything && target.matches(".rc-options input:checked")) everything.checked = false;
  const all = target.closest("[data-select-all], [data-select-filtered]");
  if (all) form?.querySelectorAll('input[type="checkbox"][name="id"]').forEach((box) => { box.checked = checked; });
  // Whoever takes one person out means neither the whole page nor everybody that is filtered any more.
  if (!checked && (all || name === "id")) form?.querySelectorAll("[data-select-all], [data-select-filtered]").forEach((box) => { box.checked = false; });
  count(form);
});

// "Clear selection": the bar goes, so focus returns to where a selection begins.
document.addEventListener("reset", ({ target }) => setTimeout(() => { count(target); target.querySelector("[data-select-all]")?.focus(); }));
const lookBehind = () => document.body.dispatchEvent(new Event("dialog-closed"));
const nameOf = (element) => element?.id ? `#${element.id}` : element?.form ? `[action="${element.form.getAttribute("action")}"] button` : `[href="${element?.getAttribute("href")}"]`;
const isRepeated = ({ requestConfig: { triggeringEvent, elt } }, text) => isPoll(triggeringEvent, elt) && (told.has(text) || !told.add(text));
const isPoll = (triggeringEvent, element) => triggeringEvent === undefined || element.hasAttribute("data-poll");
const fade = (toast) => setTimeout(() => toast.remove(), 6000, toast.dataset.seen = "1");
function count(form) {
  const shown = form?.querySelector("[data-selected]");
  const everybody = form?.querySelector("[data-select-filtered]:checked")?.dataset.selectFiltered;
  const others = form?.querySelector("[data-stands-for]:checked")?.dataset.standsFor ?? 0;
  if (shown) shown.textContent = `${everybody ?? form.querySelectorAll('input[name="id"]:checked, input[type="hidden"][name="id"]').length + Number(others)} selected`;
}
function close(event) {
  event.preventDefault();
  document.body.append(toasts);
  dialog?.replaceChildren(); // before the swap that follows could find something to show again
  dialog?.close();
}
function say(text, detail) { // our own words only; what is said again and again stands there once
  if (isRepeated(detail, text) || toasts?.lastElementChild?.firstElementChild?.textContent === text) return;
  if (dialog?.open) dialog.append(toasts); // no swap follows that would
  toasts?.insertAdjacentHTML("beforeend", `<div class="rc-toast rc-toast-bad" role="alert"><div>${text}</div><button class="btn btn-action" type="button" data-dismiss aria-label="Close this message">✕</button></div>`);
}
document.querySelectorAll("[data-toast]").forEach(fade);
document.querySelector("[data-focus]")?.focus();
