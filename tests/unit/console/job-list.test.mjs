import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { answerWith, FakeEventSource } from "./browser.mjs";

const { JobList } = await import("./console/jobs/job-list.js");

test("a load ends although events go on", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const counts = { counts: {}, total: 0, complete: true };
  const waiting = [];
  answerWith((_, path) => new Promise((resolve) => {
    waiting.push(() => resolve({ status: 200, body: path.includes("counts") ? counts : { jobs: [], next_cursor: null } }));
  }));
  const list = new JobList();
  const opened = list.open({}, null);
  const [source] = FakeEventSource.all;
  for (let number = 0; number < 10; number += 1) {
    source.send("reload", {});
    mock.timers.tick(1000);
  }
  assert.equal(waiting.length, 2); // the first load was not begun again
  waiting.forEach((answer) => answer());
  await opened;
  assert.deepEqual(list.jobs.peek(), []);
  mock.timers.tick(1000);
  assert.equal(waiting.length, 4); // and another one follows, for what came meanwhile
  list.close();
  mock.timers.reset();
});
