/**
 * Copying to the clipboard.
 */

/** Copy a text and return the message to show. Browsers allow it only on HTTPS and on this machine. */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return "Copied.";
  } catch {
    return "The browser does not allow copying here. Select the text and copy it yourself.";
  }
}
