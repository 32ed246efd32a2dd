import {
  type Ancestry,
  type Change,
  Segment,
  SEGMENT_BYTES,
  SEGMENT_SLOTS,
  type Sequence,
  sequenceOf,
} from './segment.ts'
import { NO_REF, type Ref } from './tree.ts'

/** The log as it was at one moment: changes from `end` on are not part of it. */
export interface LogView {
  readonly segments: readonly Segment[]
  /** Where each segment starts: together in memory, for a search touches little else. */
  readonly firsts: readonly Sequence[]
  readonly end: Sequence
}

/** One record in the log. */
export interface Located {
  readonly segment: Segment
  readonly slot: number
}

/**
 * Every change that compaction has not taken, in order of revision. It holds all that is known of
 * each version; the tree only points here. Copied on write like the tree, by segments.
 */
export class ChangeLog {
  #owner: object = {}
  #segments: Segment[] = []
  #firsts: Sequence[] = []
  /** Whether a frozen view shares these two arrays. */
  #shared = false
  #end: Sequence = 1
  #allocatedBytes = 0
  #freeBytes = 0
  /** Segments that are mostly dead and wait for {@link reclaim}, by their first change. */
  readonly #wasteful = new Set<Sequence>()

  /** The place of the next change. */
  get end(): Sequence {
    return this.#end
  }

  get view(): LogView {
    return { segments: this.#segments, firsts: this.#firsts, end: this.#end }
  }

  /** What the buffers take. */
  get allocatedBytes(): number {
    return this.#allocatedBytes
  }

  /** What of it holds nothing that can still be read. */
  get freeBytes(): number {
    return this.#freeBytes
  }

  /** The log as it is now, for ever. */
  freeze(): LogView {
    this.#owner = {}
    this.#shared = true
    return this.view
  }

  /** Adds a change whose key's newest version is `previous`, to be found at `found`. */
  append(change: Change, previous: Ref, found: Located | null): void {
    const tail = this.#tailFor(change.value.byteLength)
    const allocated = tail.allocatedBytes
    const used = tail.usedBytes
    tail.append(change, this.#ancestry(previous, found))
    this.#allocatedBytes += tail.allocatedBytes - allocated
    this.#freeBytes += tail.allocatedBytes - allocated - (tail.usedBytes - used)
    this.#end += 1
  }

  /** Where a version is written down; null if compaction took it. */
  locate(ref: Ref): Located | null {
    const sequence = sequenceOf(ref)
    const segment = this.#segments[segmentIndex(this.#firsts, sequence)]
    if (segment === undefined) return null
    const slot = segment.slotOf(sequence)
    return slot < 0 ? null : { segment, slot }
  }

  /** The first place whose change is of a later revision than `main`. */
  endOfRevision(main: number): Sequence {
    return endOfRevision(this.view, main)
  }

  /** The newest version of a key before `end`, found from any later one. */
  newestBefore(newest: Ref, end: Sequence): Ref {
    let ref = newest
    while (ref !== NO_REF && sequenceOf(ref) >= end) {
      const found = this.locate(ref)
      if (found === null) return NO_REF
      const jump = found.segment.jump(found.slot)
      const isBeyond = jump === NO_REF || sequenceOf(jump) < end
      ref = isBeyond ? found.segment.previous(found.slot) : jump
    }
    return ref
  }

  /** The oldest version of a key from `from` on, found from its newest. */
  oldestFrom(newest: Ref, from: Sequence): Located | null {
    let found: Located | null = null
    for (let ref = newest; ref !== NO_REF && sequenceOf(ref) >= from;) {
      const next = this.locate(ref)
      if (next === null) break
      found = next
      const jump = next.segment.jump(next.slot)
      const reaches = jump !== NO_REF && sequenceOf(jump) >= from && this.locate(jump) !== null
      ref = reaches ? jump : next.segment.previous(next.slot)
    }
    return found
  }

  /** Notes that nothing can read this change any more. Answers whether that is news. */
  markDead(sequence: Sequence): boolean {
    const at = segmentIndex(this.#firsts, sequence)
    const slot = this.#segments[at]?.slotOf(sequence) ?? -1
    if (slot < 0 || this.#segments[at]?.isDead(slot) === true) return false
    const segment = this.#ownSegment(at)
    this.#freeBytes += segment.markDead(slot)
    if (segment.deadBytes * 2 >= segment.usedBytes) this.#wasteful.add(segment.first)
    return true
  }

  /**
   * Rewrites the segments that are mostly dead, with small neighbours, so that memory and the
   * number of segments follow what lives. At least half of what is touched is freed or joined.
   */
  reclaim(): void {
    for (const first of this.#wasteful) {
      const at = segmentIndex(this.#firsts, first)
      // The tail still grows; it is looked at when it no longer does.
      if (this.#segments[at]?.first !== first) this.#wasteful.delete(first)
      else if (at < this.#segments.length - 1) this.#rewrite(at)
    }
  }

  /**
   * Rewrites the first segment from `from` on that holds anything dead, with its small neighbours.
   * Answers where to go on, or 0 at the end.
   */
  tidy(from: Sequence): Sequence {
    const last = this.#segments.length - 1
    for (let at = Math.max(segmentIndex(this.#firsts, from), 0); at < last; at++) {
      const segment = this.#segments[at] as Segment
      if (segment.first < from || segment.deadBytes === 0) continue
      const next = this.#firsts[at + 1] ?? 0
      this.#rewrite(at)
      return next
    }
    return 0
  }

  #rewrite(at: number): void {
    const last = this.#segments.length - 1
    let from = at
    let to = at + 1
    let bytes = 0
    let count = 0
    const joins = (index: number): boolean => {
      const segment = this.#segments[index]
      if (segment === undefined || index === last) return false
      if (bytes + liveBytes(segment) > SEGMENT_BYTES / 2) return false
      if (count + segment.liveCount > SEGMENT_SLOTS / 2) return false
      bytes += liveBytes(segment)
      count += segment.liveCount
      return true
    }
    if (joins(at)) {
      while (joins(from - 1)) from -= 1
      while (joins(to)) to += 1
    }
    const old = this.#segments.slice(from, to)
    const merged = Segment.merged(old, this.#owner)
    for (const segment of old) {
      this.#wasteful.delete(segment.first)
      this.#allocatedBytes -= segment.allocatedBytes
      this.#freeBytes -= segment.allocatedBytes - liveBytes(segment)
    }
    this.#allocatedBytes += merged?.allocatedBytes ?? 0
    this.#ownArrays()
    this.#segments.splice(from, to - from, ...(merged === null ? [] : [merged]))
    this.#firsts.splice(from, to - from, ...(merged === null ? [] : [merged.first]))
  }

  #tailFor(valueBytes: number): Segment {
    const tail = this.#segments[this.#segments.length - 1]
    if (tail?.hasRoomFor(valueBytes) === true) return tail
    const segment = Segment.startingAt(this.#end, this.#owner)
    this.#allocatedBytes += segment.allocatedBytes
    this.#freeBytes += segment.allocatedBytes
    this.#ownArrays()
    this.#segments.push(segment)
    this.#firsts.push(segment.first)
    return segment
  }

  /**
   * Each version knows the one before it and one further back: together they make a skew-binary
   * list (Myers 1983), in which every earlier version is a logarithmic number of steps away.
   */
  #ancestry(previous: Ref, found: Located | null): Ancestry {
    if (previous === NO_REF || found === null) return NO_ANCESTRY
    const { segment, slot } = found
    const span = segment.span(slot)
    const near = span === 0 ? null : this.locate(segment.jump(slot))
    if (near === null || near.segment.span(near.slot) !== span) {
      return { previous, jump: previous, span: 1 }
    }
    return { previous, jump: near.segment.jump(near.slot), span: 2 * span + 1 }
  }

  #ownSegment(at: number): Segment {
    const segment = this.#segments[at] as Segment
    if (segment.owner === this.#owner) return segment
    const copy = segment.copyFor(this.#owner)
    this.#ownArrays()
    this.#segments[at] = copy
    return copy
  }

  #ownArrays(): void {
    if (!this.#shared) return
    this.#segments = this.#segments.slice()
    this.#firsts = this.#firsts.slice()
    this.#shared = false
  }
}

const NO_ANCESTRY: Ancestry = { previous: NO_REF, jump: NO_REF, span: 0 }

/** Visits the changes in [from, to), in order, until `visit` answers false. */
export function forEachChange(
  view: LogView,
  range: { readonly from: Sequence; readonly to: Sequence },
  visit: (segment: Segment, slot: number) => boolean | void,
): void {
  const { segments } = view
  const to = Math.min(range.to, view.end)
  for (let at = Math.max(segmentIndex(view.firsts, range.from), 0); at < segments.length; at++) {
    const segment = segments[at] as Segment
    if (segment.first >= to) return
    const end = segment.slotFrom(to)
    for (let slot = segment.slotFrom(range.from); slot < end; slot++) {
      if (visit(segment, slot) === false) return
    }
  }
}

/** The first place in the log whose change is of a later revision than `main`. */
export function endOfRevision(view: LogView, main: number): Sequence {
  const { segments } = view
  let low = 0
  let high = segments.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((segments[middle] as Segment).main(0) <= main) low = middle + 1
    else high = middle
  }
  const segment = segments[low - 1]
  if (segment !== undefined) {
    const slot = segment.slotAfterRevision(main)
    if (slot < segment.count) return Math.min(segment.sequenceAt(slot), view.end)
  }
  return Math.min(segments[low]?.first ?? view.end, view.end)
}

/** The last segment that starts at or before `sequence`; -1 if all start later. */
function segmentIndex(firsts: readonly Sequence[], sequence: Sequence): number {
  let low = 0
  let high = firsts.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((firsts[middle] as Sequence) <= sequence) low = middle + 1
    else high = middle
  }
  return low - 1
}

function liveBytes(segment: Segment): number {
  return segment.usedBytes - segment.deadBytes
}
