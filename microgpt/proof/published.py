"""What the published runs of the reference computed on names.txt, as hashes: what `microgpt verify` compares with.

The runs are the reference's own, on x86-64 Linux with glibc. A C library whose pow, exp or log round otherwise gives the
pure Python version other last bits, and this package follows it.
"""

import hashlib
import struct
from typing import NamedTuple


class Published(NamedTuple):
    """A run's results. losses, params, samples: SHA-256, see `describe`; steps: four hexadecimal digits for each loss."""

    losses: str
    params: str
    samples: str
    steps: str

    def step_digests(self):
        """The four digits of each step, a list: enough to name the first step that differs."""
        return [self.steps[i : i + 4] for i in range(0, len(self.steps), 4)]

    @property
    def hash(self):
        """One hash of it all."""
        return hash_text([self.losses, self.params, self.samples])


def describe(losses, params, samples):
    """The Published of a run: losses, a list of floats; params, a buffer of doubles in parameter order; samples, texts."""
    return Published(hash_doubles(losses), hash_doubles(params.tolist()), hash_text(samples), step_digests(losses))


def hash_doubles(numbers):
    """SHA-256 of numbers as little-endian doubles."""
    return hashlib.sha256(struct.pack(f"<{len(numbers)}d", *numbers)).hexdigest()


def hash_text(lines):
    """SHA-256 of texts, one a line, in UTF-8: of samples, or of documents in file order."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def step_digests(losses):
    """The first four digits of each loss's own SHA-256, in one string."""
    return "".join(hash_doubles([loss])[:4] for loss in losses)


NAMES = "0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d"  # hash_text of names.txt's documents

RUNS = {
    "current": Published(
        "55c9c1baa1a7feaeea785d840f845357b539391d7de6b7ba4fc9a6989b969b64",
        "eb45112c845c28a8aaa286d20c6f0db498088a9689ba9ff7ad0dc5ddeb4342de",
        "7c91a0c48ea9a72d160cde18a6992e4646c6f0eff5e045f9ceef09cb03532b46",
        "11b3428ea1eec58699a26b557ed7b2e9d2cca9bd07f2fac361531c0c02c4dd6a31cc0e0801a46a2763574544d2040f5c4551"
        "52defc77fff499dfa0c870757b3323455fede02ff9a40b0f937ca691c052b400310072f990620337e3c21030a277d6296b46"
        "c671240a579ae3863860cf19789a652df09a10b57dc9254e7a93450a9b580ef44ba425f6eae6bde870069879e6a7730c25ac"
        "a623b36e3376ee55193d2a160e4676318c2892643282de4600dc2fceed56444504f0069bbaa1a0621d568e07519cb6a016c3"
        "2ca7b45deff936535daba92d80672c54f43816a1fe5102167581ad81d71f1c7c6aea2aa56eaf2b669e461b93f9a608fd1d0c"
        "ae0068db1dc89b5a087db5bec48b952c09c3886ac19f45ee9dc98ae56e1915a1a3ab52010ae5d26df2a5beee798513d159fc"
        "d94c7b08060f00ef4fc999882199e9ed3e92085d0584365bdaf23c1014beb6cf16970fad254318c57eac6d2ea3f1f526358d"
        "7a35caf7bc5cd7fcab241786b30b666c92742c48bbcf255cf14059f9115fe3b6b2fed35fbb67fcd448da30808cf42b7f2834"
        "69bf6243347d2461300d1361962a8f2a7180e0d45052dc929bcdc5bbe9088cfe38c3e32018b97b1802566a9577e4cdcb1132"
        "8fe58999624ec38a841538611b084d9b6a6d90ee3d43f28cc73d26ac4193cbe7b84a1a485aeb06a2e7f0bab0fce3f1f6cc64"
        "3549952fc5656f828bf92517b595f0247f286e27f6d7232eb32072f2abd55537296c7ca2344c4cc86ee54ed12093dc96c63a"
        "cae455377c1773e01605b0abbd47dc28e86e4cbb7a768b41277e26ff915af28da0644c8c6bd678f571821515bf0fbee35b24"
        "d2e6651f7b4868122b555694b36eabe331a1376953590ac2d8bf8f8afab44b878dc7c44f5cd0d1a787c8de998c5fa4b474e8"
        "34cb1f90cdac42af56e917b75b40d33cb9c7ac9f9900379ed18784d75b373daef1ef0aacde38bff9d1c2e4f3b2a68d0187a3"
        "d9e0b4ae83b78b3a5f5825b7d2a04e060339b543732d307694cb99bdd8c97c725b427a8727fb740557d01aa8a0c716aec0c1"
        "2e83afe48e894d525fd43d9d7b13da99b29a8290ceac076676776089ed8bacb430fa4ff81e7a357fd24fa09f6dfebc6819e1"
        "6e7cf9770bed938b57cea73e4cbb085c74f740136bc3b7f0a8a906aef263bb893bfab6561d0ecb4c5acf065d3a14e43bce07"
        "25509ddaf504f7334bb48bb98318fe59f3affbabb1238777f0bf84856abd2428c92700823ca98d2f033b2ae9ac42e096fcd4"
        "556533c461f14530312204da5d6e2842dc68742775173bd4a938280463be7c235a3b9f7d871fa8fcacbd1bf842f2e3d7b3bf"
        "130fceec885d395fa3c85c47576457c418291310284db5aa0b51e6d05cc451b9839f3503b2c6218dfde36d620ec76d1f07aa"
        "b97b9d5f1bd7a61743aa22bf10933349a29192b70bbf469a4915de71aa6d79c701890d2f6cb10ee4e33d7069ef0541860d26"
        "f712b1df4c1670e7fc563f05466ccc6820a67a4162353a4ed9276329b197abe653b15c7847cd60278fc648942a21a37c6013"
        "ac6fea75e506ae06c75002322ca4c66ce541aab2e92e2dce4ed76c2c4c5956ad88212a6af0f23623297b6a7d087b11afd2f2"
        "580e04a25cda7162f6a4990c3d3776b34d096a8dae6386d32625a2fbea5c69b7d237c53d00c026fcb4137406efa06b7f62d2"
        "53e5ce495e031b50b0aebc8d3ef60f0ccb73cb172c46e6ab93966307a24e66ab9c8e60a3e908fcd912381f89e51295ac993b"
        "6c9581ac387a0e423dcf367291bc63542e6a46ea6c176317441b667b9cf41f9bd4067ee0550f268ad49a7e42543bc80aea82"
        "ac22b2f1be585589188d86b3664d9a9383ad415270933ae7efd5d3e71881c16f783e87070cdbb89c8721efa132759947e7d2"
        "2d605732c365aa8af107a83bf418631bf45de5e50921d9a282d5aeaf73debb84b2e57952498ac5dc847c507c5ab69dc2dc2e"
        "af06b0a7848337fd07eafff1af99af6281cb5b34d9c1d1f3dff84f4703f3a4b53e9a0bba78e47ab68ce1603796b4a70c4861"
        "d583be2e351b5a6d8365ba03a84d311ebfb61682a818fdf19484947c48e0bf87114a20560fe5cc28b2884c09e79f4efb1cf3"
        "3054b15424ddb599d813e02180b7397b7a83f2c1da619293edcb99ebc1307b27ffedbd61aba516def417a275031897e9430a"
        "f2c6c16ad04d6a353e05f01615c4a4b804a70f23f6639f984e1f8810b70a4d963c895240f2de1b4c5bf1e477e521d99d01cb"
        "3e66e83e023c7b4ec6a9a51fb47d0b3ed0cb2c9b87d60325f2ecace0065cf84fb04b62658db1cf9cc899febec083365f243d"
        "66336eacff39ae0565f2beb32ab611f848d1648140ae5831e5ea1648b9f7648db0e22a39a77256049f60849625ade30df43d"
        "f867fc5b5cbc80899a56fffc94928ca0f00f805ad3002e9fc60bd2bae97b15903478b3096dce5d5ed917731c173ac83aa3d9"
        "7632c080c63fc7fd351bf38d128d550bc0a53aed0db24ba4272cb5e80802f8cc733ceae9f0c14a36308077b65117847ecb34"
        "b5be75b27caef3d8634229fe426505581d6ce7f4ae36958156fd8287ca2ec3d5ccbbf6e9a0c6d121a779681c5755ddb8eee0"
        "da8cd2b3e3922468ee3958a10db6dda301887e25d8ff1dcacaf667bbea91ea57c2527e67c467b1d8b48eb41ebb907f057f31"
        "99dae6e527e88b83f9534e77af37154c73cb214fdeabd3e8110f87ca61ba2571a248a0abc68e382f8d2bf7b0f3ef04905496"
        "8d071ae5cb994c8deb0ae3ff184cdea8b82a78861eea9a8af0bf2ee06d8767226e429bf397e21585f5efcd098e25fed7be68",
    ),
    "first": Published(
        "6f6f698f44d4f465a6f2c274e6c0a03221416050b2dce2e0ac5268441da26068",
        "edcbe925f140f8780f28c0dc65631c23e53eaf9da8af1c8e41c506a2c5f0db7b",
        "0db51eb36a3641729076166c790a33d1bb580ec883b7dc5cab8f19d34b2e9317",
        "af00fd33147547bcb5b925c84f455157d66be777291cac304e284e3e91104f198a115ee037f4aac96bbb224ae81e23fa6bcd"
        "d479867b756304097d7a67426c3204eee3bd9fed3ad5fe00d5d0dd82a45a9d65c1f85ac7f2a1ffba801dd7189608971452d6"
        "437924882ec73023a807e403ddc5276bc1d3b89f82b3530cf1021c5c4a143caa01a147520f633650c2d27e838c99b70e65fc"
        "0d079abeef24f1cdf13c69598e786f072215fd4c09b2e8f79787e4c332fc8cfd4044303e0fac33bdacc81c045169d4308aae"
        "737cd5dce909fb217698e9c3a5902a05c01f41253e68606573c19fee26219e1ac9abab56887293ba0a29fa7c17236d0b6e30"
        "707ed499bd3143520926b5eb8708b89d6d750f35e45b23f2e66793086586a630d2aca0c58dcf534c502a8834679c782d0bd6"
        "4da9a65f25c4d7716e0ba593125ebad74d599034f6ebbe4efdcc0dcb8bebcf1ee7cf2373acff6057d46a755d8990e280680d"
        "9dbfddd11fed9b2a9d2ff9732c9dbb1b01f9527e7655ecc9fc10ae9b0fa58cd3f8fcb0d68667b4e570b686f16d7c584a88cc"
        "2643ca20bd070a078c829054ab4ca4c5d08e59bfa116a68c8f027e972ed85c7350260f87d3427e5a94dc9b1eb099539c8d72"
        "935258a33ba38a7e9cb8eba8541a02e454f1addeeea75d00f2d880414889c0438869704fc0308d7656a115da4650721acbb1"
        "5a3019f9ba3ff27a1c6f7d4b24e7426806dda918f4cbec3a2ec3d23904f368e0032f30df01ee35cd13d2099ded5a226352c3"
        "619ec1f76b35c074975e1654e102e57fc5caf3925d4771e023be8237439e9ed3a7600572b8437eda8d18789d0ef36eb98624"
        "65d003cb480be84e9d72bc37221a2a63574282dd2c44a0d4d534b0d67e2dc7af91ccd75ecdc3c6953518d34e6295ecd21f1c"
        "0e1b29cd0a837ab48e23718da0c528ffb3c029d78341e779bb71c176db987a875a064a53bec67a3d7e42da1814d1c59a8544"
        "4950ccf382c4b68a0ca900b346bb084827693d6818f7d8a87e0c5ef34992c69e6cadc6e60d325bc6c5e64f7bd243ba96d993"
        "0fd058ce8e91843c7315ea10ec712fabc58e9902ffcfab722548ebbc6a0751df6abd1f204ef174659a0b4a586c4ec4ef40d9"
        "718d661785280e2f4aa68016783d42e95f4fa6112f879adce576c6a482e78c630ba26d8d291cec963e8a62db6d43c32425af"
        "437e01f5622374ffa553caddd748066156669df70c4b993874d35564647a86eb4a087a054fae8df97ccb5656487d00a239a7"
        "e1d066554a62c396e8f1640310144ce97ccb3791a1b5ae047628e520159fcce97947f83c38fc9d07f0d1ed7a12735c269048"
        "6ff10fdf20f1261c340ae422de1edec7e18668b2fe45fe64c08e61d4b9b19648a97ac649f2bd04feccf30f47822d3e150813",
    ),
}
