/** Preferences of this browser: nothing that was counted is kept here. A browser without storage forgets them. */
const PREFIX = "portfolio-analytics.";

export function read(name: string): string | null {
  try {
    return localStorage.getItem(PREFIX + name);
  } catch {
    return null;
  }
}

export function write(name: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, value);
  } catch {
    // It is a preference; the page works without.
  }
}
