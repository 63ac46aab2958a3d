// An application that uses SendGrid's Node.js library with Relay's URL and key.
// Arguments: the relay's address and a key. Prints one JSON object: what came of each call.
import { readFileSync } from "node:fs";
import sendgrid from "@sendgrid/mail";

const [url, key] = process.argv.slice(2);
console.warn = () => {}; // It misses the prefix that SendGrid's own keys have.
sendgrid.setApiKey(key);
sendgrid.client.setDefaultRequest("baseUrl", url);

async function outcome(call) {
  try {
    const [response] = await call();
    return { status: response.statusCode, id: response.headers["x-message-id"], body: response.body };
  } catch (error) {
    return { status: error.code, errors: error.response.body.errors };
  }
}

const whole = {
  from: { email: "shop@example.com", name: "The Shop" },
  replyTo: "help@example.com",
  subject: "Order -number-",
  text: "Your order -number- is on its way.",
  html: "<p>Your order <b>-number-</b> is on its way.</p>",
  substitutionWrappers: ["-", "-"],
  categories: ["order"],
  customArgs: { source: "node" },
  headers: { "X-Shop": "7" },
  attachments: [
    { content: readFileSync(new URL(import.meta.url)).toString("base64"), filename: "script.mjs", type: "text/plain" },
  ],
  trackingSettings: { clickTracking: { enable: false, enableText: false } },
};
const people = ["ada@graph.test", "grace@smtp.test"];

console.log(
  JSON.stringify({
    several: await outcome(() =>
      sendgrid.send({
        ...whole,
        personalizations: people.map((to, at) => ({ to, substitutions: { number: String(4711 + at) } })),
      }),
    ),
    template: await outcome(() =>
      sendgrid.send({
        from: whole.from,
        to: "ada@sendgrid.test",
        templateId: "d-0123456789",
        dynamicTemplateData: { name: "Ada" },
        customArgs: { source: "node" },
      }),
    ),
    rendered: await outcome(() =>
      sendgrid.send({
        from: whole.from,
        templateId: "d-stored-by-relay",
        personalizations: people.map((to, at) => ({ to, dynamicTemplateData: { number: 4713 + at, gift: at === 1 } })),
      }),
    ),
    refused: await outcome(() =>
      sendgrid.send({ from: whole.from, to: "ada@graph.test", templateId: "d-0123456789" }),
    ),
    wrong: await outcome(() => sendgrid.send({ ...whole, to: "nobody" })),
    batch: await outcome(() => sendgrid.client.request({ method: "POST", url: "/v3/mail/batch" })),
  }),
);
