import { useEffect, useId, useRef, useState } from "preact/hooks";
import { Icon } from "./icon";

const MOST = 100;
/** So many are seen at a glance: a phone need not show its keyboard. */
const FEW = 8;

interface Props {
  label: string;
  value: string;
  options: string[];
  onChoose: (value: string) => void;
}

/** A choice: what is typed narrows the list down, as the combobox pattern of the ARIA guide has it. */
export function Combobox({ label, value, options, onChoose }: Props) {
  const [open, setOpen] = useState(false);
  const [typed, setTyped] = useState<string | null>(null);
  const [at, setAt] = useState(0);
  const field = useRef<HTMLInputElement>(null);
  const list = useRef<HTMLUListElement>(null);
  const id = useId();
  const wanted = (typed ?? "").trim().toLowerCase();
  const matching = options.filter((option) => option.toLowerCase().includes(wanted));
  const shown = matching.slice(0, MOST);
  const listed = open && shown.length > 0;
  useEffect(() => {
    if (listed) list.current?.children[at]?.scrollIntoView({ block: "nearest" });
  }, [listed, at]);

  const show = () => {
    if (open) return;
    setOpen(true);
    setAt(Math.max(0, options.slice(0, MOST).indexOf(value)));
  };
  const close = () => {
    setOpen(false);
    setTyped(null);
  };
  const choose = (option: string | undefined) => {
    if (option === undefined) return;
    close();
    onChoose(option);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && !open) show();
    else if (step) setAt((at + step + shown.length) % Math.max(1, shown.length));
    else if (event.key === "Enter" && open) choose(shown[at]);
    else if (event.key === "Escape" && open) close();
    else return;
    event.preventDefault();
  };
  return (
    <div class="menu combobox">
      <input
        ref={field}
        class="field"
        role="combobox"
        aria-label={label}
        aria-autocomplete="list"
        aria-expanded={listed}
        aria-controls={listed ? id : undefined}
        aria-activedescendant={listed ? `${id}-${at}` : undefined}
        inputMode={options.length > FEW ? "search" : "none"}
        autocomplete="off"
        spellcheck={false}
        value={typed ?? value}
        onFocus={(event) => event.currentTarget.select()}
        onClick={show}
        onInput={(event) => {
          setOpen(true);
          setTyped(event.currentTarget.value);
          setAt(0);
        }}
        onKeyDown={onKeyDown}
        onBlur={close}
      />
      <Icon name="down" />
      {open && (
        // The field keeps the focus, so that a click does not close the list before it is noticed.
        <div class="menu-panel" onMouseDown={(event) => event.preventDefault()}>
          {listed && (
            <ul ref={list} id={id} role="listbox" aria-label={label}>
              {shown.map((option, index) => (
                <li key={option} id={`${id}-${index}`} role="option" aria-selected={index === at} class={option === value ? "chosen" : ""} onClick={() => choose(option)}>
                  {option}
                </li>
              ))}
            </ul>
          )}
          <p class="soft" role="status">
            {shown.length === 0 ? "Nothing matches." : matching.length > shown.length ? `${matching.length - shown.length} more: type a part of the name.` : ""}
          </p>
        </div>
      )}
    </div>
  );
}
