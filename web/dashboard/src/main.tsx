import { render } from "preact";
import { App } from "./app";
import { applyTheme, storedTheme } from "./theme";
import "./style/base.css";
import "./style/layout.css";
import "./style/parts.css";

applyTheme(storedTheme());
render(<App />, document.querySelector("#app") as HTMLElement);
