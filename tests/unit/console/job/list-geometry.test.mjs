import assert from "node:assert/strict";
import { test } from "node:test";

import { estimateHeight, ListGeometry } from "../../../../ingest_service/console/job/list-geometry.js";

let seed = 11;
const random = (most) => Math.floor(((seed = (seed * 16807) % 2147483647) / 2147483647) * most);

/** The same by adding up, row by row. */
function rowAt(heights, offset) {
  let top = 0;
  for (let row = 0; row < heights.length; row++) {
    top += heights[row];
    if (top > offset) return row;
  }
  return heights.length - 1;
}

for (const count of [1, 2, 3, 8, 9, 100]) {
  test(`rows and offsets equal sums, with ${count} rows that change`, () => {
    const heights = Array.from({ length: count }, () => 1 + random(50));
    const geometry = new ListGeometry(heights);
    for (let round = 0; round < 200; round++) {
      const row = random(count);
      const height = random(60);
      assert.equal(geometry.setHeight(row, height), height - heights[row]);
      heights[row] = height;
      assert.equal(geometry.offsetOf(row), heights.slice(0, row).reduce((sum, one) => sum + one, 0));
      assert.equal(geometry.total, heights.reduce((sum, one) => sum + one, 0));
      const offset = random(geometry.total + 20);
      if (geometry.total) assert.equal(geometry.rowAt(offset), rowAt(heights, offset));
    }
  });
}

test("an empty list shows nothing", () => {
  const geometry = new ListGeometry([]);
  assert.deepEqual([geometry.total, geometry.visible(0, 500)], [0, { first: 0, end: 0 }]);
});

test("the view shows the rows that it touches, and those of the margin", () => {
  const geometry = new ListGeometry(new Array(100).fill(10));
  assert.deepEqual(geometry.visible(100, 50), { first: 10, end: 16 });
  assert.deepEqual(geometry.visible(100, 50, 20), { first: 8, end: 18 });
  assert.deepEqual(geometry.visible(990, 500, 20), { first: 97, end: 100 });
});

test("a text has as many lines as its width needs", () => {
  assert.deepEqual(["", "a".repeat(40), "a".repeat(41), "字".repeat(40)].map((text) => estimateHeight(text, 40, 20, 5)), [25, 25, 45, 45]);
});
