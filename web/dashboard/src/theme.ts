import { read, write } from "./store";

export type Theme = "auto" | "light" | "dark";
export const THEMES: Theme[] = ["auto", "light", "dark"];

/** The theme that was chosen in this browser; "auto" follows the system. */
export const storedTheme = (): Theme => THEMES.find((theme) => theme === read("theme")) ?? "auto";

/** Show the page in a theme and remember it. */
export function applyTheme(theme: Theme): void {
  write("theme", theme === "auto" ? null : theme);
  if (theme === "auto") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme;
}
