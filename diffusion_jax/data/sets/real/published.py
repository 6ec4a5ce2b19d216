"""Published data sets: what their files are, what is in their pictures, whom to cite.

Addresses, sizes and SHA-256 sums are those that TFDS's own builders check.
"""

from pathlib import Path

from diffusion_jax.data.sets.real import cifar, idx
from diffusion_jax.data.sets.real.raw import RawSet, RemoteFile

_FASHION_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
FASHION_MNIST = RawSet(
    name="fashion_mnist",
    homepage="https://github.com/zalandoresearch/fashion-mnist",
    citation="Xiao, Rasul, Vollgraf 2017, Fashion-MNIST, arXiv:1708.07747",
    phrases=(
        "a t-shirt",
        "trousers",
        "a pullover",
        "a dress",
        "a coat",
        "a sandal",
        "a shirt",
        "a sneaker",
        "a bag",
        "an ankle boot",
    ),
    shape=(28, 28, 1),
    files=(
        RemoteFile(
            _FASHION_URL + "train-images-idx3-ubyte.gz",
            26421880,
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        ),
        RemoteFile(
            _FASHION_URL + "train-labels-idx1-ubyte.gz",
            29515,
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        ),
        RemoteFile(
            _FASHION_URL + "t10k-images-idx3-ubyte.gz",
            4422102,
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        ),
        RemoteFile(
            _FASHION_URL + "t10k-labels-idx1-ubyte.gz",
            5148,
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    ),
    locate=idx.locate,
    read=idx.read,
    how="Debian's package dataset-fashion-mnist installs them",
    folders=(Path("/usr/share/datasets/fashion-mnist"),),
)

_MNIST_URL = "https://storage.googleapis.com/cvdf-datasets/mnist/"
MNIST = RawSet(
    name="mnist",
    homepage="http://yann.lecun.com/exdb/mnist/",
    citation="LeCun, Cortes, Burges 2010, The MNIST database of handwritten digits",
    phrases=(
        "a zero",
        "a one",
        "a two",
        "a three",
        "a four",
        "a five",
        "a six",
        "a seven",
        "an eight",
        "a nine",
    ),
    shape=(28, 28, 1),
    files=(
        RemoteFile(
            _MNIST_URL + "train-images-idx3-ubyte.gz",
            9912422,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        ),
        RemoteFile(
            _MNIST_URL + "train-labels-idx1-ubyte.gz",
            28881,
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        ),
        RemoteFile(
            _MNIST_URL + "t10k-images-idx3-ubyte.gz",
            1648877,
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        ),
        RemoteFile(
            _MNIST_URL + "t10k-labels-idx1-ubyte.gz",
            4542,
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    ),
    locate=idx.locate,
    read=idx.read,
    how="other copies of the four files serve as well, unpacked or not",
)

CIFAR10 = RawSet(
    name="cifar10",
    homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
    citation="Krizhevsky 2009, Learning multiple layers of features from tiny images",
    phrases=(
        "an airplane",
        "an automobile",
        "a bird",
        "a cat",
        "a deer",
        "a dog",
        "a frog",
        "a horse",
        "a ship",
        "a truck",
    ),
    shape=(32, 32, 3),
    files=(
        RemoteFile(
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            170052171,
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        ),
    ),
    locate=cifar.locate,
    read=cifar.read,
    how="the archive's data_batch_1.bin to data_batch_5.bin and test_batch.bin serve as well",
)
