const audio = document.querySelector("audio");
const words = [...document.querySelectorAll("span[data-s]")].sort((one, other) => one.dataset.s - other.dataset.s); // channels overlap
const starts = words.map((word) => Number(word.dataset.s));
let lit = null;

document.querySelector("input").addEventListener("change", ({ target }) => {
  if (target.files.length) audio.src = URL.createObjectURL(target.files[0]);
});

audio.addEventListener("timeupdate", () => {
  let low = 0;
  let high = starts.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (starts[middle] <= audio.currentTime) low = middle + 1;
    else high = middle;
  }
  if (lit !== (words[low - 1] ?? null)) {
    lit?.classList.remove("now");
    lit = words[low - 1] ?? null;
    lit?.classList.add("now");
  }
});

document.querySelector("main").addEventListener("click", ({ target }) => {
  if (target.dataset?.s === undefined || !window.getSelection().isCollapsed) return;
  audio.currentTime = Number(target.dataset.s);
  audio.play().catch(() => {});
});
