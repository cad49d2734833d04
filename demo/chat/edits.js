// Two concurrent changes of one text: in this page's editor, and by other participants meanwhile.

/** Applies the change from `opened` to `wanted` to the `current` text if it fits there; returns `wanted` otherwise. */
export function merge(opened, wanted, current) {
  const [base, now] = [[...opened], [...current]]; // code points: no half of a surrogate pair is ever moved
  const mine = change(base, [...wanted]);
  const theirs = change(base, now);
  if (mine.stop <= theirs.start) return replace(now, mine, 0);
  if (mine.start >= theirs.stop) return replace(now, mine, now.length - base.length);
  return wanted;
}

/** The one replacement that turns a text into another. */
function change(before, after) {
  const shorter = Math.min(before.length, after.length);
  let start = 0;
  while (start < shorter && before[start] === after[start]) start += 1;
  let end = 0;
  while (end < shorter - start && before[before.length - 1 - end] === after[after.length - 1 - end]) end += 1;
  return { start, stop: before.length - end, inserted: after.slice(start, after.length - end) };
}

function replace(points, { start, stop, inserted }, shift) {
  return [...points.slice(0, start + shift), ...inserted, ...points.slice(stop + shift)].join("");
}
