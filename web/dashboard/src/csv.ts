/** A spreadsheet would run a cell that begins like this. */
const FORMULA = /^[=+\-@\t\r]/;

/** One cell. Text that looks like a formula gets an apostrophe, so that it stays text. */
function cell(value: string | number | null): string {
  if (value === null) return "";
  if (typeof value === "number") return String(value);
  const inert = FORMULA.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(inert) ? `"${inert.replaceAll('"', '""')}"` : inert;
}

/** Rows as CSV (RFC 4180), the first of them the head. */
export const toCsv = (rows: (string | number | null)[][]) =>
  rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("");

/** Save text as a file. */
export function download(name: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}

/** A name for a file, from parts such as a site and a period. */
export const fileName = (...parts: string[]) =>
  `${parts.map((part) => part.replace(/[^\p{L}\p{N}.-]+/gu, "-")).join("_")}.csv`;
