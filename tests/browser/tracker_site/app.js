// A router as small as routers get: the address first, the title when the view has been drawn.
const draw = () =>
  setTimeout(() => {
    const name = location.pathname.split("/").pop();
    document.title = `View ${name}`;
    document.querySelector("main").textContent = name;
  }, 20);

document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-route]");
  if (!link) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  history.pushState({}, "", link.href);
  draw();
});
addEventListener("popstate", draw);
