// How a price is written.

export const price = (value) => (Number.isFinite(value) ? (value ? `${Math.round(value)} €` : "free") : "");
