/** Repeat a request while the page can be seen. */

/**
 * Call `task` now and `interval_s` after each of its ends. Pauses while the window is hidden; returns a function that stops.
 * The task handles its own errors.
 */
export function poll(task, interval_s) {
  let timer = 0;
  let isStopped = false;
  const run = async () => {
    clearTimeout(timer);
    timer = 0;
    await task();
    if (!isStopped && !document.hidden) timer = setTimeout(run, interval_s * 1000);
  };
  const resume = () => { if (!document.hidden && timer === 0) run(); };
  document.addEventListener("visibilitychange", resume);
  run();
  return () => {
    isStopped = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", resume);
  };
}
