import type { Key } from './key.ts'

/**
 * Points at one version of a key: twice its place in the change log, plus one for a tombstone.
 * Whether a key lives can so be told without looking the version up. 0 is no version.
 */
export type Ref = number

export const NO_REF: Ref = 0

export function isLive(ref: Ref): boolean {
  return ref !== NO_REF && ref % 2 === 0
}

/** At most this many entries in a node. Small enough that copying one costs less than finding it. */
const CAPACITY = 64
const SPARSE = CAPACITY / 4

/** Nodes belong to whoever holds the token they carry; everybody else copies before writing. */
type Owner = object

interface Leaf {
  readonly owner: Owner
  readonly children: null
  readonly keys: Key[]
  readonly refs: Ref[]
  /** How many of the refs are live. */
  live: number
}

interface Inner {
  readonly owner: Owner
  readonly children: TreeNode[]
  /** `keys[i]` is not above any key under `children[i + 1]`, and above all under `children[i]`. */
  readonly keys: Key[]
  readonly refs: null
  /** How many live keys are below. */
  live: number
}

type TreeNode = Leaf | Inner

/** A tree as it was at one moment: it never changes. */
export type Root = TreeNode

/**
 * A B+tree from keys to the newest version of each, copied on write. As long as nobody asked for
 * {@link freeze}, writes change nodes in place; afterwards each write copies the nodes on its path
 * that the frozen tree shares, once. Every node counts the live keys below it, so that counting an
 * interval does not walk it.
 */
export class Tree {
  #owner: Owner = {}
  #root: TreeNode
  #previous: Ref = NO_REF
  #stored: Key = ''
  /** The key that parts the node split last from its new sibling. */
  #separator: Key = ''
  #entries = 0

  constructor() {
    this.#root = leaf(this.#owner, [], [])
  }

  get root(): Root {
    return this.#root
  }

  /** How many keys there are, living or not. */
  get entries(): number {
    return this.#entries
  }

  get live(): number {
    return this.#root.live
  }

  /** The key of the last {@link set} as the tree holds it, for others to share the string. */
  get storedKey(): Key {
    return this.#stored
  }

  /** The tree as it is now, for ever. */
  freeze(): Root {
    this.#owner = {}
    return this.#root
  }

  get(key: Key): Ref {
    let node = this.#root
    while (node.children !== null) node = childOf(node, upperBound(node.keys, key))
    const at = lowerBound(node.keys, key)
    return node.keys[at] === key ? refOf(node, at) : NO_REF
  }

  /** Points `key` at `ref` and answers what it pointed at before. */
  set(key: Key, ref: Ref): Ref {
    const root = this.#own(this.#root)
    const sibling = this.#setBelow(root, key, ref)
    this.#root = sibling === null ? root : inner(this.#owner, [this.#separator], [root, sibling])
    return this.#previous
  }

  /** Forgets `key`, if it is there. */
  remove(key: Key): void {
    if (this.get(key) === NO_REF) return
    const root = this.#own(this.#root)
    this.#removeBelow(root, key)
    this.#entries -= 1
    this.#root = root.children !== null && root.children.length === 1 ? childOf(root, 0) : root
  }

  /** Answers the new right-hand sibling if the node had to be split. */
  #setBelow(node: TreeNode, key: Key, ref: Ref): TreeNode | null {
    const before = node.live
    if (node.children === null) {
      this.#setInLeaf(node, key, ref)
      return node.keys.length > CAPACITY ? this.#splitLeaf(node) : null
    }
    const at = upperBound(node.keys, key)
    const child = this.#ownChild(node, at)
    const liveBefore = child.live
    const sibling = this.#setBelow(child, key, ref)
    node.live = before + child.live + (sibling?.live ?? 0) - liveBefore
    if (sibling === null) return null
    node.keys.splice(at, 0, this.#separator)
    node.children.splice(at + 1, 0, sibling)
    return node.children.length > CAPACITY ? this.#splitInner(node) : null
  }

  #setInLeaf(node: Leaf, key: Key, ref: Ref): void {
    const at = lowerBound(node.keys, key)
    const stored = node.keys[at]
    if (stored === key) {
      this.#previous = refOf(node, at)
      this.#stored = stored
      node.refs[at] = ref
      node.live += Number(isLive(ref)) - Number(isLive(this.#previous))
      return
    }
    this.#previous = NO_REF
    this.#stored = key
    this.#entries += 1
    node.keys.splice(at, 0, key)
    node.refs.splice(at, 0, ref)
    if (isLive(ref)) node.live += 1
  }

  /** Keys that only grow fill the last leaf and leave it full behind, rather than half full. */
  #splitLeaf(node: Leaf): Leaf {
    const grew = node.keys[node.keys.length - 1] === this.#stored
    const at = grew ? node.keys.length - 1 : node.keys.length >> 1
    const sibling = leaf(this.#owner, node.keys.splice(at), node.refs.splice(at))
    node.live -= sibling.live
    this.#separator = sibling.keys[0] as Key
    return sibling
  }

  #splitInner(node: Inner): Inner {
    const grew = node.keys[node.keys.length - 1] === this.#stored
    const at = grew ? node.children.length - 2 : node.children.length >> 1
    const [separator, ...keys] = node.keys.splice(at)
    this.#separator = separator as Key
    const sibling = inner(this.#owner, keys, node.children.splice(at + 1))
    node.live -= sibling.live
    return sibling
  }

  #removeBelow(node: TreeNode, key: Key): void {
    if (node.children === null) {
      const at = lowerBound(node.keys, key)
      if (isLive(refOf(node, at))) node.live -= 1
      node.keys.splice(at, 1)
      node.refs.splice(at, 1)
      return
    }
    const at = upperBound(node.keys, key)
    const child = this.#ownChild(node, at)
    const before = child.live
    this.#removeBelow(child, key)
    node.live += child.live - before
    if (width(child) < SPARSE && node.children.length > 1) this.#merge(node, at)
  }

  /** Joins a sparse child with a neighbour if both fit into one node with room to spare. */
  #merge(node: Inner, at: number): void {
    const left = at === 0 ? 0 : at - 1
    const a = this.#ownChild(node, left)
    const b = childOf(node, left + 1)
    if (width(a) + width(b) > CAPACITY - SPARSE) return
    if (a.children === null) {
      if (b.children !== null) return
      a.keys.push(...b.keys)
      a.refs.push(...b.refs)
    } else {
      if (b.children === null) return
      a.keys.push(node.keys[left] ?? '', ...b.keys)
      a.children.push(...b.children)
    }
    a.live += b.live
    node.keys.splice(left, 1)
    node.children.splice(left + 1, 1)
  }

  #ownChild(node: Inner, at: number): TreeNode {
    const child = childOf(node, at)
    const owned = this.#own(child)
    if (owned !== child) node.children[at] = owned
    return owned
  }

  #own(node: TreeNode): TreeNode {
    if (node.owner === this.#owner) return node
    if (node.children === null) {
      const { keys, refs, live } = node
      return { owner: this.#owner, children: null, keys: keys.slice(), refs: refs.slice(), live }
    }
    const { keys, children, live } = node
    return { owner: this.#owner, children: children.slice(), keys: keys.slice(), refs: null, live }
  }
}

/**
 * Visits the entries with keys in [from, to), in order, until `visit` answers false. Answers
 * whether it came to the end.
 */
export function scan(
  node: Root,
  bounds: { readonly from: Key; readonly to: Key | null },
  visit: (key: Key, ref: Ref) => boolean,
): boolean {
  const { from, to } = bounds
  if (node.children === null) {
    const end = to === null ? node.keys.length : lowerBound(node.keys, to)
    for (let at = lowerBound(node.keys, from); at < end; at++) {
      if (!visit(node.keys[at] as Key, refOf(node, at))) return false
    }
    return true
  }
  const last = to === null ? node.keys.length : lowerBound(node.keys, to)
  for (let at = upperBound(node.keys, from); at <= last; at++) {
    if (!scan(childOf(node, at), bounds, visit)) return false
  }
  return true
}

/** How many live keys lie below `key`. */
export function rank(root: Root, key: Key): number {
  let node = root
  let before = 0
  while (node.children !== null) {
    const at = upperBound(node.keys, key)
    for (let i = 0; i < at; i++) before += childOf(node, i).live
    node = childOf(node, at)
  }
  const end = lowerBound(node.keys, key)
  for (let i = 0; i < end; i++) if (isLive(refOf(node, i))) before += 1
  return before
}

function leaf(owner: Owner, keys: Key[], refs: Ref[]): Leaf {
  let live = 0
  for (const ref of refs) if (isLive(ref)) live += 1
  return { owner, children: null, keys, refs, live }
}

function inner(owner: Owner, keys: Key[], children: TreeNode[]): Inner {
  let live = 0
  for (const child of children) live += child.live
  return { owner, children, keys, refs: null, live }
}

function width(node: TreeNode): number {
  return node.children === null ? node.keys.length : node.children.length
}

function childOf(node: Inner, at: number): TreeNode {
  return node.children[at] as TreeNode
}

function refOf(node: Leaf, at: number): Ref {
  return node.refs[at] as Ref
}

/** The first place whose key is not below `key`. */
function lowerBound(keys: readonly Key[], key: Key): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((keys[middle] as Key) < key) low = middle + 1
    else high = middle
  }
  return low
}

/** The first place whose key is above `key`. */
function upperBound(keys: readonly Key[], key: Key): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((keys[middle] as Key) <= key) low = middle + 1
    else high = middle
  }
  return low
}
