/** The browser's two stores, or plain objects where the browser refuses them. */
import { guard } from "./listen.js";

type Store = Record<string, string | undefined>;

export let local: Store;
export let tab: Store;

const open = guard((name: "localStorage" | "sessionStorage") => window[name] as unknown as Store);

export const openStores = (): void => {
  local = open("localStorage") || {};
  tab = open("sessionStorage") || {};
};
