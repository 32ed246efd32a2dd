/** HPACK's Huffman code (RFC 7541, section 5.2 and appendix B). */
import { ErrorCode, Http2Error } from './frames.ts'

/**
 * The length of each byte's code. Codes of one length follow each other in the order of the bytes,
 * so that the lengths alone give all codes.
 */
const CODE_BITS: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
  28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5,
  6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
  7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6,
  7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23,
  23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22,
  22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22,
  23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27,
  27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25,
  24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
]
const END_OF_STRING = 256
const END_OF_STRING_BITS = 30

/**
 * A machine that eats half a byte at a time: no code is shorter than five bits, so that at most one
 * byte comes out of each step. The states are the inner nodes of the code's tree.
 */
interface Machine {
  /** The state after a step, or FAILED. */
  readonly next: Uint16Array
  /** The byte that comes out of a step, or NONE. */
  readonly emitted: Int16Array
  /** Whether the input may end in this state: on up to seven ones, the beginning of the longest code. */
  readonly accepts: Uint8Array
}

const FAILED = 0xffff
const NONE = -1

interface Node {
  readonly state: number
  readonly children: [Node | number | undefined, Node | number | undefined]
}

const MACHINE = machine()

function machine(): Machine {
  const nodes = tree()
  const next = new Uint16Array(nodes.length * 16)
  const emitted = new Int16Array(nodes.length * 16).fill(NONE)
  for (const node of nodes)
    for (let half = 0; half < 16; half += 1) {
      const at = node.state * 16 + half
      let current: Node | null = node
      for (let bit = 3; bit >= 0 && current !== null; bit -= 1) {
        const child: Node | number | undefined = current.children[(half >> bit) & 1]
        if (typeof child === 'object') current = child
        else if (child === undefined || child === END_OF_STRING) current = null
        else {
          emitted[at] = child
          current = nodes[0] as Node
        }
      }
      next[at] = current === null ? FAILED : current.state
    }
  return { next, emitted, accepts: acceptingStates(nodes) }
}

function tree(): Node[] {
  const nodes: Node[] = [{ state: 0, children: [undefined, undefined] }]
  const symbols = [...CODE_BITS, END_OF_STRING_BITS].map((bits, symbol) => ({ bits, symbol }))
  symbols.sort((a, b) => a.bits - b.bits || a.symbol - b.symbol)
  let code = 0
  let length = 0
  for (const { bits, symbol } of symbols) {
    code <<= bits - length
    length = bits
    let node = nodes[0] as Node
    for (let bit = bits - 1; bit > 0; bit -= 1) {
      const side = (code >> bit) & 1
      const child = node.children[side]
      if (typeof child === 'object') node = child
      else {
        const added: Node = { state: nodes.length, children: [undefined, undefined] }
        nodes.push(added)
        node.children[side] = added
        node = added
      }
    }
    node.children[code & 1] = symbol
    code += 1
  }
  return nodes
}

function acceptingStates(nodes: readonly Node[]): Uint8Array {
  const accepts = new Uint8Array(nodes.length)
  let node: Node | number | undefined = nodes[0]
  for (let ones = 0; ones < 8 && typeof node === 'object'; ones += 1) {
    accepts[node.state] = 1
    node = node.children[1]
  }
  return accepts
}

let output = Buffer.allocUnsafe(256)

/** The text of `bytes` in [start, end), each byte a character. Throws COMPRESSION_ERROR. */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number): string {
  // Codes have five bits at least.
  const most = Math.ceil(((end - start) * 8) / 5)
  if (output.length < most) output = Buffer.allocUnsafe(most)
  const { next, emitted, accepts } = MACHINE
  let state = 0
  let length = 0
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at] as number
    for (let shift = 4; shift >= 0; shift -= 4) {
      const step = state * 16 + ((byte >> shift) & 15)
      const symbol = emitted[step] as number
      if (symbol !== NONE) {
        output[length] = symbol
        length += 1
      }
      state = next[step] as number
      if (state === FAILED) throw badCode()
    }
  }
  if (accepts[state] === 0) throw badCode()
  return output.toString('latin1', 0, length)
}

function badCode(): Http2Error {
  return new Http2Error(ErrorCode.COMPRESSION_ERROR, 'no Huffman code')
}
