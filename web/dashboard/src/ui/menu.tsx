import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";

interface Props {
  /** What stands on the button. */
  button: ComponentChildren;
  label?: string;
  class?: string;
  /** What opens below it; `close` gives the focus back to the button. */
  children: (close: () => void) => ComponentChildren;
}

/** A button with something below it that Escape, or a click elsewhere, closes. Arrows move between its buttons. */
export function Menu({ button, label, class: name = "", children }: Props) {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const trigger = useRef<HTMLButtonElement>(null);
  const id = useId();
  const close = () => {
    setOpen(false);
    trigger.current?.focus();
  };
  useEffect(() => {
    if (!open) return undefined;
    const outside = (event: Event) => {
      if (!box.current?.contains(event.target as Node)) setOpen(false);
    };
    document.addEventListener("pointerdown", outside);
    document.addEventListener("focusin", outside);
    return () => {
      document.removeEventListener("pointerdown", outside);
      document.removeEventListener("focusin", outside);
    };
  }, [open]);
  const onKeyDown = (event: KeyboardEvent) => {
    if (!open) return;
    if (event.key === "Escape") {
      event.preventDefault();
      close();
    }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || (event.target as HTMLElement).matches("input, select")) return;
    event.preventDefault();
    const items = [...(box.current?.querySelectorAll<HTMLElement>(".menu-panel button") ?? [])];
    const next = items.indexOf(document.activeElement as HTMLElement) + step;
    items[(next + items.length) % items.length]?.focus();
  };
  return (
    <div class={`menu ${name}`} ref={box} onKeyDown={onKeyDown}>
      <button
        ref={trigger}
        type="button"
        class="button"
        aria-expanded={open}
        aria-controls={open ? id : undefined}
        aria-label={label}
        onClick={() => setOpen(!open)}
      >
        {button}
      </button>
      {open && (
        <div class="menu-panel" id={id}>
          {children(close)}
        </div>
      )}
    </div>
  );
}
