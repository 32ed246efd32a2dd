/**
 * JSON as text: parsed without losing digits, and found one value after the other in a stream.
 *
 * JSON.parse turns numbers into doubles, which have no room for the ids of leases and members; so a
 * whole number of more digits than a double is sure of becomes a string first, which
 * {@link digitsOf} knows from the strings of the client.
 */

/** For text that is no JSON, or not of the message that is expected. The message is for the client. */
export class JsonError extends Error {
  override readonly name = 'JsonError'
}

/** Marks a string as a number's digits. No other character precedes digits in what clients send. */
const MARK = '\u0000'
const LONG_NUMBER = /\d{16}/
const STRING_OR_NUMBER = /"[^"\\]*(?:\\[^][^"\\]*)*"|-?\d[\d.eE+-]*/g
const WHOLE_NUMBER = /^-?[1-9]\d{15,}$/

/** Parses one JSON value. Throws a {@link JsonError}. */
export function parseJson(text: string): unknown {
  const exact = LONG_NUMBER.test(text) ? text.replaceAll(STRING_OR_NUMBER, markNumber) : text
  try {
    return JSON.parse(exact) as unknown
  } catch {
    throw new JsonError(isCutOff(text) ? 'unexpected EOF' : 'invalid JSON')
  }
}

/** Parses the first value of the text: as in etcd, what comes after it is nobody's business. */
export function parseFirst(text: string): unknown {
  try {
    return parseJson(text)
  } catch (error) {
    const [first = text] = jsonSplitter().push(text)
    if (first.length === text.length) throw error
    return parseJson(first)
  }
}

function markNumber(token: string): string {
  return WHOLE_NUMBER.test(token) ? `"\\u0000${token}"` : token
}

/** The digits of a whole number, however it was written; null for anything else. */
export function digitsOf(value: unknown): string | null {
  if (typeof value === 'string') return value.startsWith(MARK) ? value.slice(1) : value
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) return null
  return String(value)
}

/** Whether the text is an object or a list that has not come to its end. */
function isCutOff(text: string): boolean {
  return /^\s*[{[]/.test(text) && jsonSplitter().push(text).length === 0
}

export interface JsonSplitter {
  /** Takes more of the text, and gives the values that are whole now. */
  push(text: string): readonly string[]
  /** What belongs to no whole value yet. */
  readonly rest: string
}

/**
 * Cuts a stream of JSON objects, with or without space between them, into its objects. Text outside
 * of any object is given up to the next brace, for the parser to refuse.
 */
export function jsonSplitter(): JsonSplitter {
  return new Splitter()
}

/** What ends a stretch in which nothing can happen: outside of a string, and in one. */
const STRUCTURE = /[{}[\]"]/g
const STRING_END = /["\\]/g

class Splitter implements JsonSplitter {
  rest = ''
  #at = 0
  #depth = 0
  #inString = false

  push(text: string): readonly string[] {
    this.rest += text
    const values: string[] = []
    for (;;) {
      const next = this.#inString ? STRING_END : STRUCTURE
      next.lastIndex = this.#at
      const found = next.exec(this.rest)
      if (found === null) {
        this.#at = this.rest.length
        return values
      }
      if (found[0] === '\\' && found.index + 1 === this.rest.length) {
        // What is escaped has not come yet.
        this.#at = found.index
        return values
      }
      this.#at = found.index + (found[0] === '\\' ? 2 : 1)
      this.#take(found[0])
      if (this.#depth > 0 || this.#inString || !'}]'.includes(found[0])) continue
      values.push(this.rest.slice(0, this.#at))
      this.rest = this.rest.slice(this.#at)
      this.#at = 0
      this.#depth = 0
    }
  }

  #take(character: string): void {
    if (character === '"') this.#inString = !this.#inString
    else if (character === '{' || character === '[') this.#depth += 1
    else if (character !== '\\') this.#depth -= 1
  }
}
