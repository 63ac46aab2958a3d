/**
 * List of templates.
 */

import { CallFailed, get } from "../api.js";
import { dataTable, emptyState, errorState, heading, loading } from "../components.js";
import { field, openDialog } from "../dialogs.js";
import { h, redraw } from "../dom.js";
import { moment, number } from "../format.js";
import { t } from "../i18n.js";
import { may } from "../permissions.js";
import { poll } from "../poll.js";

const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/;

export async function show({ main, signal, focusTitle }) {
  const place = h("div", {}, loading());
  const add = h("button", { type: "button", class: "primary", data: { key: "add" }, on: { click: create } }, t("templates.new"));
  main.append(...heading(t("page.templates"), { actions: [may("PutTemplate") && add].filter(Boolean), text: t("templates.text") }).filter(Boolean), h("div", { class: "card" }, place));
  focusTitle();
  let loaded = null;
  const refresh = poll({
    signal,
    seconds: 15,
    load: () => get("/v1/templates", signal),
    draw({ value }) {
      loaded = value;
      redraw(place, value.length ? table(value) : emptyState(t("templates.none"), t("templates.noneText")));
    },
    fail: (error) => loaded === null && redraw(place, errorState(error, refresh)),
  });
}

function table(rows) {
  return dataTable(t("page.templates"), [
    { name: t("field.name"), cell: ({ name }) => h("a", { href: `#/templates/${encodeURIComponent(name)}`, data: { key: `open-${name}` } }, name) },
    { name: t("field.version"), kind: "number", cell: ({ version }) => number(version) },
    { name: t("field.saved"), kind: "tight", cell: ({ created_at: at }) => moment(at) },
  ], rows);
}

async function create() {
  const name = field({ name: "name", label: t("field.name"), hint: t("templates.nameHint"), required: true });
  await openDialog({
    title: t("templates.new"),
    action: t("common.create"),
    fields: [name],
    run: async () => {
      if (!NAME.test(name.read())) throw new CallFailed({ status: 0, code: "invalid_value", message: t("templates.badName") });
      location.hash = `#/templates/${name.read()}`;
    },
  });
}
