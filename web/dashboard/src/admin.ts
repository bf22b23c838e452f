import { createContext } from "preact";

/** Whether who looks may change what there is. */
export const AdminContext = createContext(false);
