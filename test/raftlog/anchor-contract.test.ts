import { join } from 'node:path'
import { headKeeper, memoryAnchor, quorumAnchor } from '@leastwise/raftlog'
import { fileAnchor } from '@leastwise/raftlog/node'
import { anchorContract } from '../contract/anchor.ts'
import { tempDir } from '../support/temp-dir.ts'
import { counted, fakeCounter, fakeFile, fakePeer } from './anchor-support.ts'

anchorContract('memory', () => {
  const anchor = memoryAnchor()
  return { anchor, again: () => anchor }
})

anchorContract('a file', () => {
  const path = join(tempDir(), 'head')
  return { anchor: fileAnchor(path), again: () => fileAnchor(path) }
})

anchorContract('a counter', () => {
  const [counter, file] = [fakeCounter(), fakeFile()]
  return { anchor: counted(counter, file), again: () => counted(counter, file) }
})

anchorContract('a peer', () => {
  const peer = fakePeer()
  return { anchor: peer.anchor, again: () => fakePeer(headKeeper({ heads: peer.keeper.heads() })).anchor }
})

anchorContract('a quorum', () => {
  const peers = [fakePeer(), fakePeer(), fakePeer()]
  const anchor = quorumAnchor(peers.map((peer) => peer.anchor))
  return { anchor, again: () => quorumAnchor(peers.map((peer) => peer.anchor)) }
})

anchorContract('a quorum with one away', () => {
  const peers = [fakePeer(), fakePeer(), fakePeer()]
  peers[1]!.wire = 'slow'
  const anchor = quorumAnchor(peers.map((peer) => peer.anchor))
  return { anchor, again: () => anchor }
})
