// Stands for packages of which the tests need nothing.
