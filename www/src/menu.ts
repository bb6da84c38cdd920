// Buttons that open a short list of others: `details` that close again after a choice, on Escape
// and on a click elsewhere.

const menus = () => document.querySelectorAll<HTMLDetailsElement>("details.menu[open]");

/** Closes what is open; whether anything was. */
export function closeMenus(except?: Node): boolean {
  let closed = false;
  for (const menu of menus()) {
    if (except && menu.contains(except)) continue;
    const inside = menu.contains(document.activeElement);
    menu.open = false;
    if (inside) menu.querySelector("summary")?.focus();
    closed = true;
  }
  return closed;
}

export function setUp(): void {
  document.addEventListener("click", event => {
    const at = event.target as Element;
    const chosen = at.closest("details.menu button, details.menu label");
    closeMenus(chosen ? undefined : at);
  });
  // With the keyboard one leaves it.
  document.addEventListener("focusin", event => {
    for (const menu of menus()) if (!menu.contains(event.target as Node)) menu.open = false;
  });
}
