/**
 * What JSON may hold as it is and a terminal or an editor would obey: controls of eight bits, marks that turn the
 * direction of writing, line separators, characters without width.
 */
const UNSEEN = /[\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/
const EVERY_UNSEEN = new RegExp(UNSEEN, 'g')

/** The JSON text with every such character as `\uXXXX`, which reads back the same. */
export function escaped(json: string): string {
  return UNSEEN.test(json) ? json.replace(EVERY_UNSEEN, codePoint) : json
}

function codePoint(mark: string): string {
  return `\\u${mark.charCodeAt(0).toString(16).padStart(4, '0')}`
}
