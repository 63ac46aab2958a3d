/**
 * Read the console's messages and scripts. Prints JSON: the messages and plural categories of each language, every use of a
 * message, and every text in a script that a reader would see although it is no message.
 *
 * usage: node console_texts.mjs FOLDER (relay/web/console/js)
 */

import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import ts from "typescript";

const folder = process.argv[2];
const RETURN_MESSAGES = new Set(["t", "pieces", "messageOr"]);
const TECHNICAL = new Set(["class", "kind", "rel"]);
const SHOWN = new Set(["aria-label", "title", "label", "hint", "text", "placeholder", "action", "message"]);
const READ_NAMES = new Set(["get", "matches", "closest", "querySelector", "querySelectorAll", "setAttribute", "getAttribute"]);
const HAS_WORDS = /\p{L}{2,}\s+\p{L}{2,}|^[A-Z][a-z]+(?=[\s.,:…!?]|$)/u;
const IS_PROSE = /^[\p{L}\s,]+[.?!:]?$/u;
const uses = [];
const texts = [];

function nameOf(node) {
  return ts.isIdentifier(node) || ts.isStringLiteralLike(node) ? node.text : null;
}

/** Return the strings that an expression can be: a literal, both of a conditional, or the start of a template. */
function keysOf(node) {
  if (ts.isStringLiteralLike(node)) return [{ key: node.text }];
  if (ts.isConditionalExpression(node)) return [...keysOf(node.whenTrue), ...keysOf(node.whenFalse)];
  if (ts.isTemplateExpression(node)) return [{ prefix: node.head.text }];
  return [{ prefix: "" }];
}

function visit(node, place, file) {
  if (ts.isImportDeclaration(node)) return;
  if (ts.isCallExpression(node)) return visitCall(node, place, file);
  if (ts.isPropertyAssignment(node)) {
    const name = nameOf(node.name);
    if (!TECHNICAL.has(name)) visit(node.initializer, SHOWN.has(name) ? "shown" : "any", file);
    return;
  }
  if (ts.isBinaryExpression(node) && /^(===|!==)$/.test(node.operatorToken.getText(file))) return;
  if (ts.isElementAccessExpression(node)) return visit(node.expression, place, file);
  if (ts.isConditionalExpression(node)) {
    visit(node.condition, "any", file);
    visit(node.whenTrue, place, file);
    visit(node.whenFalse, place, file);
    return;
  }
  if (ts.isStringLiteralLike(node) || ts.isTemplateHead(node) || ts.isTemplateMiddle(node) || ts.isTemplateTail(node)) return note(node, place, file);
  const isTransparent = ts.isParenthesizedExpression(node) || ts.isBinaryExpression(node) || ts.isArrayLiteralExpression(node) || ts.isTemplateExpression(node) || ts.isTemplateSpan(node);
  ts.forEachChild(node, (child) => visit(child, isTransparent ? place : "any", file));
}

function visitCall(node, place, file) {
  const { expression: callee, arguments: [first, ...others] } = node;
  const method = ts.isPropertyAccessExpression(callee) ? callee.name.text : null;
  if (ts.isIdentifier(callee) && RETURN_MESSAGES.has(callee.text)) {
    const [values] = others;
    const given = values && ts.isObjectLiteralExpression(values) ? values.properties.map((each) => nameOf(each.name)) : values ? null : [];
    uses.push({ where: lineOf(node, file), keys: keysOf(first), given: callee.text === "messageOr" ? null : given });
    others.forEach((each) => visit(each, "any", file));
    return;
  }
  visit(callee, "any", file);
  if (method && READ_NAMES.has(method)) return;
  const isElement = ts.isIdentifier(callee) && (callee.text === "h" || callee.text === "svg");
  node.arguments.forEach((each, index) => visit(each, isElement && index > 1 ? "child" : "any", file));
}

function note(node, place, file) {
  const isText = { any: HAS_WORDS, shown: IS_PROSE, child: /\p{L}/u }[place].test(node.text) || HAS_WORDS.test(node.text);
  if (isText) texts.push({ where: lineOf(node, file), text: node.text });
}

function lineOf(node, file) {
  return `${file.fileName}:${file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1}`;
}

for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
  const path = join(entry.parentPath ?? entry.path, entry.name);
  const name = relative(folder, path);
  if (!entry.isFile() || name.startsWith("messages/")) continue;
  const file = ts.createSourceFile(name, readFileSync(path, "utf8"), ts.ScriptTarget.Latest, true, ts.ScriptKind.JS);
  ts.forEachChild(file, (node) => visit(node, "any", file));
}

const load = async (name) => (await import(`data:text/javascript,${encodeURIComponent(readFileSync(join(folder, "messages", name), "utf8"))}`)).default;
const languages = {};
for (const code of ["en", "ja"]) {
  languages[code] = { messages: await load(`${code}.js`), plurals: new Intl.PluralRules(code).resolvedOptions().pluralCategories };
}
console.log(JSON.stringify({ languages, causes: await load("causes.ja.js"), errors: await load("errors.ja.js"), uses, texts }));
