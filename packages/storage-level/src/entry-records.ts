/**
 * The log's entries on the disk. Those of one write share records, for a record costs LevelDB and us
 * about the same whether it holds one entry or a hundred. Records never overlap: where a log is
 * truncated, what is left of the record that is cut is written again.
 */
import type { Entry, LogIndex, LogOutline } from '@coracle/raft-core'
import { ENTRY_OVERHEAD_BYTES, readEntry, type Reader, writeEntry } from '@coracle/raft-core/codec'
import type { Batch, Database } from './database.ts'
import { entryKey, entryKeys } from './keys.ts'

/** No further entry goes into a record beyond this, for to read one is to read the whole record. */
const RECORD_BYTES = 64 << 10

/** Puts entries that follow one another, of which no record holds any. */
export function putEntries(batch: Batch, entries: readonly Entry[]): void {
  let from = 0
  let bytes = 0
  for (const [at, entry] of entries.entries()) {
    const more = ENTRY_OVERHEAD_BYTES + entry.data.byteLength
    if (at > from && bytes + more > RECORD_BYTES) {
      putRecord(batch, entries.slice(from, at), bytes)
      from = at
      bytes = 0
    }
    bytes += more
  }
  putRecord(batch, entries.slice(from), bytes)
}

function putRecord(batch: Batch, entries: readonly Entry[], bytes: number): void {
  const last = entries[entries.length - 1]
  if (last === undefined) return
  const fill: Parameters<Batch['put']>[1] = (writer) => {
    for (const entry of entries) writeEntry(writer, entry)
  }
  batch.put(entryKey(last.index), fill, bytes)
}

function readRecord(reader: Reader): readonly Entry[] {
  const entries: Entry[] = []
  do entries.push(readEntry(reader))
  while (reader.remaining > 0)
  return entries
}

/** What a truncation does to records. */
export interface Truncation {
  readonly removed: readonly Uint8Array[]
  /** Entries of the record that is cut, to be put again. */
  readonly kept: readonly Entry[]
}

/** Removes the entries from `from` on, and keeps those after `compacted`. */
export async function truncation(
  database: Database,
  { from, compacted }: { readonly from: LogIndex; readonly compacted: LogIndex },
): Promise<Truncation> {
  const removed = await database.keys(entryKeys(from))
  const [cut] = removed
  const entries = cut === undefined ? undefined : await database.read(cut, readRecord)
  const stays = ({ index }: Entry): boolean => index > compacted && index < from
  return { removed, kept: entries?.filter(stays) ?? [] }
}

/** Entries that are as the outline says, or a StorageError. At least one, whatever its size. */
export async function readEntries(
  database: Database,
  outline: LogOutline,
  {
    from,
    to,
    maxBytes,
  }: { readonly from: LogIndex; readonly to: LogIndex; readonly maxBytes: number },
): Promise<readonly Entry[]> {
  const entries: Entry[] = []
  let bytes = 0
  let isFull = false
  const take = (record: readonly Entry[]): boolean => {
    for (const entry of record) {
      if (entries.length === 0 && entry.index < from) continue
      bytes += entry.data.byteLength
      isFull = entries.length > 0 && bytes > maxBytes
      if (isFull || entry.index >= to) return false
      entries.push(entry)
    }
    return true
  }
  await database.visit(entryKeys(from), { decode: readRecord, wantsMore: take, maxBytes })
  for (const [at, { index, term }] of entries.entries()) {
    if (index > from + at) throw database.damage(`entry ${from + at} is missing`)
    // Two entries of one index and one term are the same entry (§5.3): the term tells an old one.
    if (index < from + at || term !== outline.termAt(index))
      throw database.damage(`entry ${index} is an old one`)
  }
  if (!isFull && entries.length < to - from)
    throw database.damage(`entry ${from + entries.length} is missing`)
  return entries
}
