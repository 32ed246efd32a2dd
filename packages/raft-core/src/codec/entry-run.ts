/**
 * Entries that follow one another: what append-entries is made of. Laid out as `writeEntry` does,
 * but this is where a cluster spends its time, so it looks at bounds once per entry and not once
 * per field, which makes it twice as fast.
 */
import type { Entry, EntryType, Position } from '../types.ts'
import { CodecError } from './bytes.ts'

/** What an entry takes beside its data, in bytes. */
export const RUN_ENTRY_BYTES = 21

const TERM_AT = 8
const TYPE_AT = 16
const LENGTH_AT = 17
const TWO_32 = 2 ** 32
const MAX_HIGH = 2 ** 21 - 1

const TYPES: readonly EntryType[] = ['command', 'no-op', 'membership']

/** How many bytes {@link writeEntryRun} needs. */
export function entryRunBytes(entries: readonly Entry[]): number {
  let total = entries.length * RUN_ENTRY_BYTES
  for (const entry of entries) total += entry.data.byteLength
  return total
}

/** Writes at `offset`, where `target` must be large enough. Throws a RangeError if the entries are no run. */
export function writeEntryRun(
  target: Uint8Array,
  offset: number,
  entries: readonly Entry[],
  after: Position,
): void {
  const view = new DataView(target.buffer, target.byteOffset, target.byteLength)
  let at = offset
  let { index, term } = after
  for (const entry of entries) {
    const { data } = entry
    const length = data.byteLength
    const type = TYPES.indexOf(entry.type)
    if (!follows(entry, index, term) || type === -1)
      throw new RangeError('entries must follow one another')
    index = entry.index
    term = entry.term
    setU64(view, at, index)
    setU64(view, at + TERM_AT, term)
    view.setUint8(at + TYPE_AT, type)
    view.setUint32(at + LENGTH_AT, length, true)
    target.set(data, at + RUN_ENTRY_BYTES)
    at += RUN_ENTRY_BYTES + length
  }
}

/**
 * The `count` entries that make up `bytes`, with views into it as their data. Throws a CodecError,
 * also if anything is left over, unless it `mayGoOn`.
 */
export function readEntryRun(
  bytes: Uint8Array,
  count: number,
  after: Position,
  { mayGoOn }: { readonly mayGoOn: boolean },
): readonly Entry[] {
  const { buffer, byteOffset } = bytes
  const view = new DataView(buffer, byteOffset, bytes.byteLength)
  const entries: Entry[] = []
  let at = 0
  let last = after
  while (entries.length < count) {
    if (bytes.byteLength - at < RUN_ENTRY_BYTES) throw new CodecError('an entry is cut short')
    const index = getU64(view, at)
    const term = getU64(view, at + TERM_AT)
    const type = TYPES[view.getUint8(at + TYPE_AT)]
    if (type === undefined) throw new CodecError('an entry has an unknown type')
    const length = view.getUint32(at + LENGTH_AT, true)
    at += RUN_ENTRY_BYTES
    if (length > bytes.byteLength - at) throw new CodecError('the data of an entry is cut short')
    const entry = { index, term, type, data: new Uint8Array(buffer, byteOffset + at, length) }
    if (!follows(entry, last.index, last.term))
      throw new CodecError('entries do not follow one another')
    entries.push(entry)
    at += length
    last = entry
  }
  if (at < bytes.byteLength && !mayGoOn)
    throw new CodecError(`${bytes.byteLength - at} bytes are left over`)
  return entries
}

/** Indexes are consecutive, and terms never decrease along a log (§5.3). */
function follows(entry: Position, index: number, term: number): boolean {
  return (
    entry.index === index + 1 &&
    entry.term >= term &&
    Number.isSafeInteger(entry.index) &&
    Number.isSafeInteger(entry.term)
  )
}

function setU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true)
  view.setUint32(at + 4, Math.floor(value / TWO_32), true)
}

function getU64(view: DataView, at: number): number {
  const high = view.getUint32(at + 4, true)
  if (high > MAX_HIGH) throw new CodecError('an integer is beyond 2^53 - 1')
  return high * TWO_32 + view.getUint32(at, true)
}
