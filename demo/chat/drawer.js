// The list of sessions on a narrow screen: a drawer over the conversation, out of reach while it is closed.

const narrow = matchMedia("(max-width: 760px)");
const [sidebar, scrim, opener, closer] = ["sidebar", "scrim", "open-sidebar", "close-sidebar"].map((id) => document.getElementById(id));

function show(shown) {
  sidebar.toggleAttribute("data-open", shown);
  sidebar.inert = narrow.matches && !shown;
  scrim.hidden = !(narrow.matches && shown);
  opener.setAttribute("aria-expanded", String(shown));
}

export function closeDrawer() {
  const inside = sidebar.contains(document.activeElement);
  show(false);
  if (narrow.matches && inside) opener.focus();
}

opener.addEventListener("click", () => {
  show(true);
  closer.focus();
});
closer.addEventListener("click", closeDrawer);
scrim.addEventListener("click", closeDrawer);
sidebar.addEventListener("keydown", (event) => event.key === "Escape" && closeDrawer());
narrow.addEventListener("change", () => show(false));
show(false);
