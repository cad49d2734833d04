// Readers of values of other clients, which may write anything anywhere: a value of another type counts as absent.

export const text = (value) => (typeof value === "string" ? value : "");

export const list = (value) => (Array.isArray(value) ? value : []);

export const object = (value) => (typeof value === "object" && value !== null && !Array.isArray(value) ? value : {});

/** The objects of a list. */
export const objects = (value) => list(value).filter((each) => each === object(each));

/** The id of a participant; some clients number theirs. */
export const idOf = (value) => (typeof value === "number" ? String(value) : text(value));
