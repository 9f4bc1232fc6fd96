"""The second model of this repository: will a flight be cancelled?"""
