/** What is due when, earliest first: a binary heap in which a time can be changed or taken back. */

export interface DueQueue {
  readonly size: number
  /** Puts `id` in its place, whether or not it was there before. */
  set(id: bigint, due: number): void
  delete(id: bigint): void
  clear(): void
  /** Takes out the first that is due by `now`, or answers null. */
  takeDue(now: number): bigint | null
}

export function dueQueue(): DueQueue {
  return new Heap()
}

interface Item {
  readonly id: bigint
  readonly due: number
}

/**
 * What is set anew stays in the heap at its old place too, and is skipped when it comes up. When
 * such leftovers outnumber the rest, the heap is built again without them.
 */
class Heap implements DueQueue {
  #items: Item[] = []
  readonly #current = new Map<bigint, Item>()

  get size(): number {
    return this.#current.size
  }

  set(id: bigint, due: number): void {
    const item = { id, due }
    this.#current.set(id, item)
    this.#items.push(item)
    this.#rise(this.#items.length - 1)
    this.#tidy()
  }

  delete(id: bigint): void {
    this.#current.delete(id)
    this.#tidy()
  }

  clear(): void {
    this.#current.clear()
    this.#items = []
  }

  takeDue(now: number): bigint | null {
    for (;;) {
      const first = this.#items[0]
      if (first === undefined || first.due > now) return null
      this.#removeFirst()
      if (this.#current.get(first.id) !== first) continue
      this.#current.delete(first.id)
      return first.id
    }
  }

  #tidy(): void {
    if (this.#items.length <= 2 * this.#current.size + 64) return
    // An array in ascending order is a heap.
    this.#items = [...this.#current.values()].sort((a, b) => a.due - b.due)
  }

  #removeFirst(): void {
    const last = this.#items.pop()
    if (last === undefined || this.#items.length === 0) return
    this.#items[0] = last
    this.#sink(0)
  }

  #due(at: number): number {
    return this.#items[at]?.due ?? Infinity
  }

  #swap(a: number, b: number): void {
    const [itemA, itemB] = [this.#items[a], this.#items[b]]
    if (itemA === undefined || itemB === undefined) return
    this.#items[a] = itemB
    this.#items[b] = itemA
  }

  #rise(from: number): void {
    for (let at = from; at > 0;) {
      const parent = (at - 1) >> 1
      if (this.#due(parent) <= this.#due(at)) return
      this.#swap(parent, at)
      at = parent
    }
  }

  #sink(from: number): void {
    for (let at = from; ;) {
      const left = 2 * at + 1
      const child = this.#due(left + 1) < this.#due(left) ? left + 1 : left
      if (this.#due(at) <= this.#due(child)) return
      this.#swap(at, child)
      at = child
    }
  }
}
