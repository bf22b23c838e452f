import { useState } from "preact/hooks";
import { read, write } from "../store";
import { Dialog } from "../ui/dialog";
import { KEYS } from "./shortcuts";

/** The list of single keys, and a switch that turns them off. */
export function ShortcutHelp({ many, onClose }: { many: boolean; onClose: () => void }) {
  const [on, setOn] = useState(read("shortcuts") !== "off");
  const toggle = () => {
    write("shortcuts", on ? "off" : null);
    setOn(!on);
  };
  return (
    <Dialog title="Keyboard shortcuts" onClose={onClose}>
      <dl class="keys">
        {KEYS.filter(([key]) => many || key !== "S").map(([key, label]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{label}</dd>
          </div>
        ))}
      </dl>
      <label class="check">
        <input type="checkbox" checked={on} onChange={toggle} /> Single keys act
      </label>
    </Dialog>
  );
}
