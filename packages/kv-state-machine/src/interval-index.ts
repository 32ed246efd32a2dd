import type { Bounds, Key } from './key.ts'

/** One member alone is kept as it is: most intervals have one, and a set takes 200 bytes. */
type Members<Member> = Member | Set<Member>

interface IntervalNode<Member> {
  readonly from: Key
  /** Exclusive; null if the interval has no end. */
  readonly to: Key | null
  members: Members<Member>
  left: IntervalNode<Member> | null
  right: IntervalNode<Member> | null
  height: number
  /** The furthest end of the intervals here and below, so that a search can leave them out. */
  furthest: Key | null
}

/**
 * Who is interested in a key, among many who are interested in keys and intervals. Single keys are
 * looked up; intervals are a balanced tree by their beginnings (AVL) that knows the furthest end
 * below each node, so a search costs the logarithm of their number for each that it finds.
 */
export class IntervalIndex<Member extends object> {
  readonly #singles = new Map<Key, Members<Member>>()
  #root: IntervalNode<Member> | null = null
  #size = 0

  get size(): number {
    return this.#size
  }

  /** Adds a member that is not in here yet. */
  add(bounds: Bounds, member: Member): void {
    this.#size += 1
    if (!bounds.single) {
      this.#root = insert(this.#root, bounds, member)
      return
    }
    const members = this.#singles.get(bounds.from)
    this.#singles.set(bounds.from, members === undefined ? member : joined(members, member))
  }

  /** Removes a member that was added with these bounds. */
  remove(bounds: Bounds, member: Member): void {
    this.#size -= 1
    if (!bounds.single) {
      this.#root = remove(this.#root, bounds, member)
      return
    }
    const members = this.#singles.get(bounds.from)
    if (members === undefined || isLast(members, member)) this.#singles.delete(bounds.from)
  }

  /** Visits everybody whose key or interval holds `key`. The index must not change meanwhile. */
  forEach(key: Key, visit: (member: Member) => void): void {
    const members = this.#singles.get(key)
    if (members !== undefined) visitAll(members, visit)
    stab(this.#root, key, visit)
  }
}

function stab<Member extends object>(
  node: IntervalNode<Member> | null,
  key: Key,
  visit: (member: Member) => void,
): void {
  if (node === null || !isBelow(key, node.furthest)) return
  stab(node.left, key, visit)
  if (key < node.from) return
  if (isBelow(key, node.to)) visitAll(node.members, visit)
  stab(node.right, key, visit)
}

function insert<Member extends object>(
  node: IntervalNode<Member> | null,
  bounds: Bounds,
  member: Member,
): IntervalNode<Member> {
  if (node === null) {
    const { from, to } = bounds
    return { from, to, members: member, left: null, right: null, height: 1, furthest: to }
  }
  const order = compare(bounds, node)
  if (order === 0) {
    node.members = joined(node.members, member)
    return node
  }
  if (order < 0) node.left = insert(node.left, bounds, member)
  else node.right = insert(node.right, bounds, member)
  return balanced(node)
}

function remove<Member extends object>(
  node: IntervalNode<Member> | null,
  bounds: Bounds,
  member: Member,
): IntervalNode<Member> | null {
  if (node === null) return null
  const order = compare(bounds, node)
  if (order === 0) return isLast(node.members, member) ? withoutTop(node) : node
  if (order < 0) node.left = remove(node.left, bounds, member)
  else node.right = remove(node.right, bounds, member)
  return balanced(node)
}

/** What is left of a tree without its top: the first of the right half takes its place. */
function withoutTop<Member>(node: IntervalNode<Member>): IntervalNode<Member> | null {
  if (node.left === null || node.right === null) return node.left ?? node.right
  const { first, rest } = takeFirst(node.right)
  first.left = node.left
  first.right = rest
  return balanced(first)
}

function takeFirst<Member>(node: IntervalNode<Member>): {
  readonly first: IntervalNode<Member>
  readonly rest: IntervalNode<Member> | null
} {
  if (node.left === null) return { first: node, rest: node.right }
  const { first, rest } = takeFirst(node.left)
  node.left = rest
  return { first, rest: balanced(node) }
}

function balanced<Member>(node: IntervalNode<Member>): IntervalNode<Member> {
  const lean = height(node.left) - height(node.right)
  if (node.left !== null && lean > 1) {
    if (height(node.left.left) < height(node.left.right)) node.left = rotatedLeft(node.left)
    return rotatedRight(node)
  }
  if (node.right !== null && lean < -1) {
    if (height(node.right.right) < height(node.right.left)) node.right = rotatedRight(node.right)
    return rotatedLeft(node)
  }
  return refreshed(node)
}

function rotatedRight<Member>(node: IntervalNode<Member>): IntervalNode<Member> {
  const top = node.left
  if (top === null) return node
  node.left = top.right
  top.right = refreshed(node)
  return refreshed(top)
}

function rotatedLeft<Member>(node: IntervalNode<Member>): IntervalNode<Member> {
  const top = node.right
  if (top === null) return node
  node.right = top.left
  top.left = refreshed(node)
  return refreshed(top)
}

function refreshed<Member>(node: IntervalNode<Member>): IntervalNode<Member> {
  const { left, right } = node
  node.height = 1 + Math.max(height(left), height(right))
  node.furthest = node.to
  if (left !== null) node.furthest = further(node.furthest, left.furthest)
  if (right !== null) node.furthest = further(node.furthest, right.furthest)
  return node
}

function height<Member>(node: IntervalNode<Member> | null): number {
  return node === null ? 0 : node.height
}

function further(a: Key | null, b: Key | null): Key | null {
  return a === null || b === null ? null : a > b ? a : b
}

function isBelow(key: Key, end: Key | null): boolean {
  return end === null || key < end
}

/** By beginning, then by end; none is the last of all ends. */
function compare(a: Bounds, b: { readonly from: Key; readonly to: Key | null }): number {
  if (a.from !== b.from) return a.from < b.from ? -1 : 1
  if (a.to === b.to) return 0
  if (a.to === null || b.to === null) return a.to === null ? 1 : -1
  return a.to < b.to ? -1 : 1
}

function joined<Member extends object>(members: Members<Member>, member: Member): Set<Member> {
  return members instanceof Set ? members.add(member) : new Set([members, member])
}

/** Takes the member out of a set; answers whether nobody is left then. */
function isLast<Member extends object>(members: Members<Member>, member: Member): boolean {
  if (!(members instanceof Set)) return members === member
  members.delete(member)
  return members.size === 0
}

function visitAll<Member extends object>(
  members: Members<Member>,
  visit: (member: Member) => void,
): void {
  if (members instanceof Set) for (const member of members) visit(member)
  else visit(members)
}
