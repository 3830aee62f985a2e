// Asking for the read token, where the copy has one.

import { byId, setText, typed } from "./dom.js";
import { setToken, token } from "./net.js";

/** @param {() => void} again tries with the new token */
export function startToken(again) {
  const dialog = typed("token-dialog", HTMLDialogElement);
  const field = typed("token", HTMLInputElement);
  let tried = false;
  byId("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    tried = true;
    setToken(field.value, typed("token-stay", HTMLInputElement).checked);
    again();
  });
  return {
    ask() {
      setText(byId("token-problem"), tried || token() ? "That is not the token." : "");
      if (!dialog.open) dialog.showModal();
      field.select();
    },
    done() {
      tried = false;
      if (dialog.open) dialog.close();
    },
  };
}
